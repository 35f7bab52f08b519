"""Services of batches on a wire server: Anthropic's, OpenAI's and Google's, with all that a client asks of them.

A batch is at work for the first `looks` times that somebody looks at it, unless it is told otherwise.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.wire.dialects import Received
from tests.wire.replies import Raw, Reply, not_found

Outcome = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Single = Callable[[Received], Reply]


@dataclass
class Job:
    """A batch that the service has. `lines` are pairs of a request's id and its body."""

    id: str
    lines: Sequence[tuple[str, Mapping[str, Any]]]
    mark: str = ""
    created_at: float = field(default_factory=time.time)
    looked: int = 0
    cancelled: bool = False
    expired: bool = False


class BatchService:
    """What the three have in common.

    `outcome` gives the result of each request from its body; `single` answers requests that are not about batches.
    `on_taken` is called with each batch as soon as the service has it, before anybody hears of it. `trouble` answers the next
    requests in the place of the service, as long as there is any.
    """

    def __init__(
        self,
        outcome: Outcome,
        *,
        looks: int = 1,
        single: Single | None = None,
        on_taken: Callable[[Job], Reply | None] | None = None,
    ) -> None:
        self.jobs: list[Job] = []
        self.looks = looks
        self.looked = 0
        self.listed = 0
        self.keys: list[tuple[str, str]] = []
        self.trouble: list[Reply] = []
        self.files: dict[str, bytes] = {}
        self.on_taken = on_taken
        self._outcome = outcome
        self._single = single

    @property
    def submitted(self) -> list[list[Mapping[str, Any]]]:
        """The requests of each batch."""
        return [[body for _, body in job.lines] for job in self.jobs]

    def __call__(self, request: Received) -> Reply:
        """Answer one request."""
        path = request.path.partition("?")[0]
        if self.trouble:
            return self.trouble.pop(0)
        told = self.batches(request, path)
        if told is not None:
            return told
        assert self._single is not None, f"no single request was expected: {request.method} {path}"
        return self._single(request)

    def batches(self, request: Received, path: str) -> Reply | None:
        """Answer a request about batches, None when it is about something else."""
        raise NotImplementedError

    def is_over(self, job: Job) -> bool:
        """Return whether a batch has ended."""
        return job.cancelled or job.expired or job.looked > self.looks

    def take(self, job: Job) -> Reply | None:
        """Take a batch in."""
        self.jobs.append(job)
        return None if self.on_taken is None else self.on_taken(job)

    def look(self, job: Job) -> Job:
        """Count a look at a batch."""
        self.looked += 1
        job.looked += 1
        return job

    def job(self, name: str) -> Job:
        """Return the batch of this id."""
        return next(job for job in self.jobs if job.id == name)

    def note(self, request: Received, what: str) -> None:
        """Note with which key something was asked for."""
        said = request.headers.get("x-api-key") or request.headers.get("authorization", "")
        self.keys.append((what, said.removeprefix("Bearer ")))


class MessageBatches(BatchService):
    """Anthropic's message batches, which bear no mark; their list tells nothing of what is in them."""

    def batches(self, request: Received, path: str) -> Reply | None:
        """Answer a request about batches."""
        if "/messages/batches" not in path:
            return None
        name, _, action = path.partition("/messages/batches")[2].strip("/").partition("/")
        if not name and request.method == "GET":
            self.listed += 1
            return _json({
                "data": [self._shown(job, request) for job in reversed(self.jobs)],
                "has_more": False, "first_id": None, "last_id": None,
            })  # fmt: skip
        if not name:
            lines = [(each["custom_id"], each["params"]) for each in request.body["requests"]]
            self.note(request, "create")
            job = Job(f"msgbatch_{len(self.jobs) + 1}", lines)
            return self.take(job) or _json(self._shown(job, request))
        if action == "results":
            self.note(request, "results")
            return _lines([
                {"custom_id": each, "result": self._result(self.job(name), params)}
                for each, params in reversed(self.job(name).lines)
            ])  # fmt: skip
        if action == "cancel":
            self.note(request, "cancel")
            self.job(name).cancelled = True
            return _json(self._shown(self.job(name), request))
        self.note(request, "look")
        return _json(self._shown(self.look(self.job(name)), request))

    def _result(self, job: Job, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"type": "canceled"} if job.cancelled else self._outcome(params)

    def _shown(self, job: Job, request: Received) -> dict[str, Any]:
        over = self.is_over(job)
        at = datetime.fromtimestamp(job.created_at, UTC).isoformat()
        counts = {"processing": len(job.lines), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        return {
            "id": job.id,
            "type": "message_batch",
            "processing_status": "ended" if over else "in_progress",
            "request_counts": counts,
            "created_at": at,
            "expires_at": at,
            "ended_at": at if over else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"http://{request.headers['host']}/v1/messages/batches/{job.id}/results",
        }


class ResponseBatches(BatchService):
    """OpenAI's batches of responses: files up and down, and metadata that a batch keeps."""

    def batches(self, request: Received, path: str) -> Reply | None:
        """Answer a request about batches or files."""
        kind, name, action = ([*path.removeprefix("/v1/").split("/"), "", ""])[:3]
        if kind not in ("files", "batches"):
            return None
        self.note(request, f"{request.method} {kind} {action}".strip())
        if kind == "files":
            return self._file(request, name, action)
        if not name and request.method == "GET":
            self.listed += 1
            jobs = [self._shown(job) for job in reversed(self.jobs)]
            return _json({"object": "list", "data": jobs, "has_more": False})
        if not name:
            body = request.body
            lines = [json.loads(line) for line in self.files[body["input_file_id"]].split(b"\n")]
            assert body["endpoint"] == "/v1/responses"
            job = Job(
                f"batch_{len(self.jobs) + 1}",
                [(each["custom_id"], each["body"]) for each in lines],
                body["metadata"]["podium"],
            )
            self.files[f"in:{job.id}"] = body["input_file_id"].encode()
            return self.take(job) or _json(self._shown(job))
        if action == "cancel":
            self.job(name).cancelled = True
            return _json(self._shown(self.job(name)))
        return _json(self._shown(self.look(self.job(name))))

    def _file(self, request: Received, name: str, action: str) -> Reply:
        if request.method == "DELETE":
            del self.files[name]
            return _json({"id": name, "object": "file", "deleted": True})
        if action == "content":
            job, said = self.job(name.partition(":")[2]), self._outcome
            lines = [] if job.cancelled or job.expired else [(each, said(body)) for each, body in job.lines]
            failed = name.startswith("err:")
            found = [_of_line(*line) for line in reversed(lines) if ("error" in line[1]) is failed]
            return _lines(found)
        content = re.split(rb"\r\n--", request.raw.partition(b".jsonl")[2].partition(b"\r\n\r\n")[2])[0]
        made = f"file-{len(self.files) + 1}"
        self.files[made] = content
        return _json({
            "id": made, "object": "file", "bytes": len(content), "created_at": int(time.time()),
            "filename": "x.jsonl", "purpose": "batch", "status": "processed",
        })  # fmt: skip

    def _shown(self, job: Job) -> dict[str, Any]:
        over = self.is_over(job)
        ended = "cancelled" if job.cancelled else "expired" if job.expired else "completed"
        return {
            "id": job.id,
            "object": "batch",
            "endpoint": "/v1/responses",
            "input_file_id": self.files[f"in:{job.id}"].decode(),
            "completion_window": "24h",
            "status": ended if over else "in_progress",
            "output_file_id": f"out:{job.id}" if over else None,
            "error_file_id": f"err:{job.id}" if over else None,
            "created_at": int(job.created_at),
            "metadata": {"podium": job.mark},
            "request_counts": {"total": len(job.lines), "completed": 0, "failed": 0},
        }


def _of_line(number: str, outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error" in outcome:
        body = {"error": outcome["error"]}
        return {"id": "x", "custom_id": number, "response": {"status_code": 400, "body": body}, "error": None}
    return {"id": "x", "custom_id": number, "response": {"status_code": 200, "body": outcome}, "error": None}


def answered(text: str, *, output_tokens: int = 5) -> dict[str, Any]:
    """A response of OpenAI's that says `text`."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_760_000_000,
        "model": "gpt-5-mini",
        "status": "completed",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 11 + output_tokens,
        },
    }


class GeminiBatches(BatchService):
    """Google's batch jobs: a file up by its own protocol, a job with a display name, a file down."""

    def batches(self, request: Received, path: str) -> Reply | None:
        """Answer a request about jobs or files."""
        if path.endswith("/files") and path.startswith("/upload"):
            url = f"http://{request.headers['host']}/put/{request.body['file']['name']}"
            headers = (("x-goog-upload-url", url), ("x-goog-upload-status", "active"))
            return Raw(b"{}", headers=headers)
        if path.startswith("/put/"):
            name = path.removeprefix("/put/")
            self.files[name] = request.raw
            shown = json.dumps({"file": {"name": name, "state": "ACTIVE"}}).encode()
            return Raw(shown, headers=(("x-goog-upload-status", "final"),))
        name = re.sub(r"^/v1beta/|:.*$", "", path)
        if ":batchGenerateContent" in path:
            wanted = request.body["batch"]
            lines = [json.loads(each) for each in self.files[wanted["inputConfig"]["fileName"]].split(b"\n")]
            job = Job(
                f"batches/b{len(self.jobs) + 1}",
                [(each["key"], each["request"]) for each in lines],
                wanted["displayName"],
            )
            return self.take(job) or _json(self._shown(job))
        if name == "batches":
            self.listed += 1
            return _json({"operations": [self._shown(job) for job in reversed(self.jobs)]})
        if ":cancel" in path:
            self.job(name).cancelled = True
            return _json({})
        if name.startswith("batches/"):
            return _json(self._shown(self.look(self.job(name))))
        return self._file(request, name)

    def _file(self, request: Received, name: str) -> Reply | None:
        if request.method == "DELETE" and name.startswith("files/"):
            return not_found() if self.files.pop(name, None) is None else _json({})
        if name.startswith("files/out-"):
            job = self.job("batches/" + name.removeprefix("files/out-"))
            return _lines([{"key": each, **self._outcome(body)} for each, body in job.lines])
        return None

    def _shown(self, job: Job) -> dict[str, Any]:
        over = self.is_over(job)
        state = "BATCH_STATE_CANCELLED" if job.cancelled else "BATCH_STATE_SUCCEEDED"
        metadata = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": "models/gemini-2.5-flash",
            "displayName": job.mark,
            "createTime": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
            "state": state if over else "BATCH_STATE_RUNNING",
            "name": job.id,
        }
        if over and not job.cancelled:
            metadata["output"] = {"responsesFile": f"files/out-{job.id.removeprefix('batches/')}"}  # type: ignore[assignment]
        return {"name": job.id, "metadata": metadata, "done": over}


def generated(text: str) -> dict[str, Any]:
    """A line of Google's results that says `text`."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 5, "totalTokenCount": 16}
    return {
        "response": {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "r",
        }
    }


def succeeded(text: str, *, output_tokens: int = 5) -> dict[str, Any]:
    """A request of Anthropic's that was answered with `text`."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": output_tokens},
    }
    return {"type": "succeeded", "message": message}


def errored(kind: str = "invalid_request_error", message: str = "no") -> dict[str, Any]:
    """A request of Anthropic's that failed."""
    return {
        "type": "errored",
        "error": {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"},
    }


def expired() -> dict[str, Any]:
    """A request of Anthropic's whose time was over before it was run."""
    return {"type": "expired"}


def _json(body: Mapping[str, Any]) -> Raw:
    return Raw(json.dumps(body).encode())


def _lines(lines: Sequence[Mapping[str, Any]]) -> Raw:
    return Raw("\n".join(map(json.dumps, lines)).encode(), content_type="application/x-jsonl")
