"""Anthropic's message batches on a wire server: handed in, looked at, collected."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.wire.dialects import Received
from tests.wire.replies import Raw, Reply

Outcome = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class MessageBatches:
    """Answers requests about batches, and those about single messages by `single`.

    `outcome` gives the result of each request of a batch from its parameters; a batch is at work for the first
    `looks` times that it is looked at. `submitted` holds the requests of each batch.
    """

    def __init__(
        self, outcome: Outcome, *, looks: int = 1, single: Callable[[Received], Reply] | None = None
    ) -> None:
        self.submitted: list[list[Mapping[str, Any]]] = []
        self.looked = 0
        self._outcome = outcome
        self._looks = looks
        self._single = single

    def __call__(self, request: Received) -> Reply:
        """Answer one request."""
        path = request.path.partition("?")[0]
        if path.endswith("/messages/batches") and request.method == "POST":
            self.submitted.append(list(request.body["requests"]))
            return self._batch(request)
        if path.endswith("/results"):
            lines = [
                json.dumps({"custom_id": each["custom_id"], "result": self._outcome(each["params"])})
                for each in self.submitted[-1]
            ]
            # In another order than they were handed in: only the ids count.
            return Raw("\n".join(reversed(lines)).encode(), content_type="application/x-jsonl")
        if "/messages/batches/" in path:
            self.looked += 1
            return self._batch(request)
        assert self._single is not None, f"no single request was expected: {path}"
        return self._single(request)

    def _batch(self, request: Received) -> Raw:
        is_over = self.looked > self._looks
        counts = {
            "processing": len(self.submitted[-1]),
            "succeeded": 0,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        }
        body = {
            "id": f"msgbatch_{len(self.submitted)}",
            "type": "message_batch",
            "processing_status": "ended" if is_over else "in_progress",
            "request_counts": counts,
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-02T00:00:00Z",
            "ended_at": "2026-01-01T01:00:00Z" if is_over else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"http://{request.headers['host']}/v1/messages/batches/1/results"
            if is_over
            else None,
        }
        return Raw(json.dumps(body).encode())


def succeeded(text: str, *, output_tokens: int = 5) -> dict[str, Any]:
    """A request of a batch that was answered with `text`."""
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
    """A request of a batch that failed."""
    return {
        "type": "errored",
        "error": {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"},
    }


def expired() -> dict[str, Any]:
    """A request of a batch whose time was over before it was run."""
    return {"type": "expired"}
