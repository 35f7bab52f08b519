"""Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.wire.dialects import Received, Refusal, Telling, event, secret_of
from tests.wire.replies import Finish, Problem, Refused, Said

_REASONS = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    # The one word of this API for both.
    Finish.CONTENT_FILTER: "refusal",
    Finish.REFUSAL: "refusal",
}

# status, type, message
_ERRORS: Mapping[Problem, tuple[int, str, str]] = {
    Problem.BAD_REQUEST: (400, "invalid_request_error", "temperature: must be at most 1"),
    Problem.UNAUTHORIZED: (401, "authentication_error", "invalid x-api-key: {key}"),
    Problem.FORBIDDEN: (403, "permission_error", "Your API key may not use this model."),
    Problem.NOT_FOUND: (404, "not_found_error", "model: {model}"),
    Problem.TIMED_OUT: (408, "timeout_error", "Request timed out."),
    Problem.RATE_LIMITED: (429, "rate_limit_error", "This request would exceed your rate limit."),
    Problem.QUOTA: (400, "invalid_request_error", "Your credit balance is too low to access the API."),
    Problem.CONTEXT_WINDOW: (
        400,
        "invalid_request_error",
        "prompt is too long: 210000 tokens > 200000 maximum",
    ),
    Problem.BLOCKED: (400, "invalid_request_error", "Output blocked by content filtering policy"),
    Problem.SERVER_ERROR: (500, "api_error", "Internal server error"),
    Problem.UNAVAILABLE: (503, "api_error", "Service unavailable"),
    Problem.OVERLOADED: (529, "overloaded_error", "Overloaded"),
}


class Anthropic:
    """The messages endpoint."""

    def base_url(self, origin: str) -> str:
        """The version is part of the path that the client adds."""
        return origin

    def streams(self, request: Received) -> bool:
        """The body says so."""
        return bool(request.body.get("stream"))

    def telling(self, said: Said, request: Received) -> Telling:
        """The message opens, its one text block opens, grows and closes, and the message ends with a reason."""
        block = {"type": "text", "text": ""}
        opening = [
            self._event({"type": "message_start", "message": self._message(said, request, [], None)}),
            self._event({"type": "content_block_start", "index": 0, "content_block": block}),
            self._event({"type": "ping"}),
        ]
        pieces = [
            self._event(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": piece},
                }
            )
            for piece in said.pieces
        ]
        for i, called in enumerate(said.calls, 1):
            pieces.append(self._event({"type": "content_block_stop", "index": i - 1}))
            use = {"type": "tool_use", "id": f"toolu_{i}", "name": called.name, "input": {}}
            pieces.append(self._event({"type": "content_block_start", "index": i, "content_block": use}))
            for piece in called.pieces:
                more = {"type": "input_json_delta", "partial_json": piece}
                pieces.append(self._event({"type": "content_block_delta", "index": i, "delta": more}))
        delta = {"stop_reason": self._reason(said), "stop_sequence": None}
        closing = [
            self._event({"type": "content_block_stop", "index": len(said.calls)}),
            self._event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": said.tokens}}),
            self._event({"type": "message_stop"}),
        ]
        return Telling(opening, pieces, closing)

    def whole(self, said: Said, request: Received) -> bytes:
        """One message."""
        content: list[dict[str, Any]] = [{"type": "text", "text": said.text}] if said.pieces else []
        content += [
            {
                "type": "tool_use",
                "id": f"toolu_{i}",
                "name": called.name,
                "input": json.loads(called.arguments),
            }
            for i, called in enumerate(said.calls, 1)
        ]
        return json.dumps(self._message(said, request, content, self._reason(said))).encode()

    def refusal(self, refused: Refused, request: Received) -> Refusal:
        """The error object of the API, with its status."""
        status, error = self._error(refused.problem, refused.message, request)
        return Refusal(status, json.dumps(error).encode())

    def error_event(self, problem: Problem, request: Received) -> bytes:
        """An error event."""
        return self._event(self._error(problem, None, request)[1])

    def _reason(self, said: Said) -> str:
        return "tool_use" if said.calls else _REASONS[said.finish]

    def _error(self, problem: Problem, message: str | None, request: Received) -> tuple[int, dict[str, Any]]:
        status, kind, wording = _ERRORS[problem]
        said = message or wording.format(key=secret_of(request), model=request.body.get("model"))
        return status, {"type": "error", "error": {"type": kind, "message": said}, "request_id": "req_1"}

    def _event(self, data: dict[str, Any]) -> bytes:
        return event(data, data["type"])

    def _message(
        self, said: Said, request: Received, content: list[dict[str, Any]], reason: str | None
    ) -> dict[str, Any]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": f"{request.body.get('model')}-20260101",
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {
                # What came from the cache is counted beside the rest.
                "input_tokens": said.input_tokens - said.cached_tokens,
                "cache_read_input_tokens": said.cached_tokens,
                "output_tokens": said.tokens if reason else 1,
            },
        }
