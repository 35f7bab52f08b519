"""OpenAI's chat completions, which every compatible server speaks too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.wire.dialects import CREATED, Received, Refusal, Telling, event, secret_of
from tests.wire.replies import Finish, Problem, Refused, Said

_REASONS = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.REFUSAL: "stop",
}

# status, code, type, message
_ERRORS: Mapping[Problem, tuple[int, str | None, str, str]] = {
    Problem.BAD_REQUEST: (400, "invalid_value", "invalid_request_error", "Invalid value for 'temperature'."),
    Problem.UNAUTHORIZED: (
        401,
        "invalid_api_key",
        "invalid_request_error",
        "Incorrect API key provided: {key}.",
    ),
    Problem.FORBIDDEN: (403, None, "invalid_request_error", "Project does not have access to this model."),
    Problem.NOT_FOUND: (
        404,
        "model_not_found",
        "invalid_request_error",
        "The model `{model}` does not exist.",
    ),
    Problem.TIMED_OUT: (408, None, "timeout", "Request timed out."),
    Problem.RATE_LIMITED: (429, "rate_limit_exceeded", "requests", "Rate limit reached for {model}."),
    Problem.QUOTA: (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    Problem.CONTEXT_WINDOW: (
        400,
        "context_length_exceeded",
        "invalid_request_error",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    ),
    Problem.BLOCKED: (
        400,
        "content_filter",
        "invalid_request_error",
        "The response was filtered due to the prompt triggering the content management policy.",
    ),
    Problem.SERVER_ERROR: (500, None, "server_error", "The server had an error processing your request."),
    Problem.UNAVAILABLE: (503, None, "service_unavailable_error", "Service unavailable."),
    Problem.OVERLOADED: (503, None, "server_error", "The engine is currently overloaded, try again later."),
}


class OpenAI:
    """The chat completions endpoint."""

    def base_url(self, origin: str) -> str:
        """The version is part of the base URL."""
        return f"{origin}/v1"

    def streams(self, request: Received) -> bool:
        """The body says so."""
        return bool(request.body.get("stream"))

    def telling(self, said: Said, request: Received) -> Telling:
        """Role, one delta for each piece, the finish reason, the usage when asked for, and [DONE]."""
        word = "refusal" if said.finish is Finish.REFUSAL else "content"
        pieces = [
            self._chunk(request, {word: piece}, logprobs=self._logprobs(said, request, slice(i, i + 1)))
            for i, piece in enumerate(said.pieces)
        ]
        for i, called in enumerate(said.calls):
            function: dict[str, Any] = {"name": called.name, "arguments": ""}
            begun = {"index": i, "id": f"call_{i}", "type": "function", "function": function}
            pieces.append(self._chunk(request, {"tool_calls": [begun]}))
            for piece in called.pieces:
                more = {"index": i, "function": {"arguments": piece}}
                pieces.append(self._chunk(request, {"tool_calls": [more]}))
        closing = [self._chunk(request, {}, finish=self._reason(said))]
        if (request.body.get("stream_options") or {}).get("include_usage"):
            closing.append(
                event({**self._head(request, "chat.completion.chunk"), "usage": self._usage(said)})
            )
        opening = self._chunk(request, {"role": "assistant", "content": ""})
        return Telling([opening], pieces, [*closing, event("[DONE]")])

    def whole(self, said: Said, request: Received) -> bytes:
        """One completion."""
        refuses = said.finish is Finish.REFUSAL
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if refuses else said.text,
            "refusal": said.text if refuses else None,
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(said, request, slice(None)),
            "finish_reason": self._reason(said),
        }
        if said.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{i}",
                    "type": "function",
                    "function": {"name": called.name, "arguments": called.arguments},
                }
                for i, called in enumerate(said.calls)
            ]
        body = self._head(request, "chat.completion") | {"choices": [choice], "usage": self._usage(said)}
        return json.dumps(body).encode()

    def refusal(self, refused: Refused, request: Received) -> Refusal:
        """The error object of the API, with its status."""
        status, error = self._error(refused.problem, refused.message, request)
        return Refusal(status, json.dumps({"error": error}).encode())

    def error_event(self, problem: Problem, request: Received) -> bytes:
        """An error object instead of a chunk."""
        return event({"error": self._error(problem, None, request)[1]})

    def _reason(self, said: Said) -> str:
        return "tool_calls" if said.calls else _REASONS[said.finish]

    def _error(self, problem: Problem, message: str | None, request: Received) -> tuple[int, dict[str, Any]]:
        status, code, kind, wording = _ERRORS[problem]
        said = message or wording.format(key=secret_of(request), model=request.body.get("model"))
        return status, {"message": said, "type": kind, "param": None, "code": code}

    def _head(self, request: Received, kind: str) -> dict[str, Any]:
        model = f"{request.body.get('model')}-2026-01-01"
        return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": model, "choices": []}

    def _chunk(
        self,
        request: Received,
        delta: dict[str, Any],
        *,
        logprobs: dict[str, Any] | None = None,
        finish: str | None = None,
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return event(self._head(request, "chat.completion.chunk") | {"choices": [choice], "usage": None})

    def _logprobs(self, said: Said, request: Received, part: slice) -> dict[str, Any] | None:
        if not said.logprobs or not request.body.get("logprobs"):
            return None
        pairs = zip(said.pieces[part], said.logprobs[part], strict=True)
        return {
            "content": [
                {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
                for token, value in pairs
            ],
            "refusal": None,
        }

    def _usage(self, said: Said) -> dict[str, Any]:
        return {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.tokens,
            "total_tokens": said.input_tokens + said.tokens,
            "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
        } | ({} if said.cost is None else {"cost": said.cost})
