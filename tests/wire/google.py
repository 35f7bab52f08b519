"""Google's generateContent and streamGenerateContent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.wire.dialects import Received, Refusal, Telling, event, secret_of
from tests.wire.replies import Called, Finish, Problem, Refused, Said

_REASONS = {
    Finish.STOP: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTENT_FILTER: "SAFETY",
    # The nearest thing: this API has no word for a model that declines.
    Finish.REFUSAL: "PROHIBITED_CONTENT",
}

# status, name, message
_ERRORS: Mapping[Problem, tuple[int, str, str]] = {
    Problem.BAD_REQUEST: (400, "INVALID_ARGUMENT", "Invalid value at 'generation_config.temperature'"),
    Problem.UNAUTHORIZED: (401, "UNAUTHENTICATED", "API key not valid: {key}"),
    Problem.FORBIDDEN: (403, "PERMISSION_DENIED", "The caller does not have permission"),
    Problem.NOT_FOUND: (404, "NOT_FOUND", "models/{model} is not found for API version v1beta"),
    Problem.TIMED_OUT: (408, "DEADLINE_EXCEEDED", "Request timed out."),
    Problem.RATE_LIMITED: (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted"),
    Problem.QUOTA: (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota"),
    Problem.CONTEXT_WINDOW: (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    Problem.BLOCKED: (400, "INVALID_ARGUMENT", "The prompt is blocked."),
    Problem.SERVER_ERROR: (500, "INTERNAL", "An internal error has occurred."),
    Problem.UNAVAILABLE: (503, "UNAVAILABLE", "The service is currently unavailable."),
    Problem.OVERLOADED: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}

_DAILY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


class Google:
    """The two endpoints of a model, which differ in their path."""

    def base_url(self, origin: str) -> str:
        """The version is part of the path that the client adds."""
        return origin

    def streams(self, request: Received) -> bool:
        """The path says so."""
        return ":streamGenerateContent" in request.path

    def telling(self, said: Said, request: Received) -> Telling:
        """One candidate that grows with each event; the last one has the reason and the usage."""
        pieces = [event(self._response(said, request, piece, None)) for piece in said.pieces]
        pieces += [event(self._response(said, request, "", None, [called])) for called in said.calls]
        last = event(self._response(said, request, "", _REASONS[said.finish]))
        return Telling([], pieces, [last])

    def whole(self, said: Said, request: Received) -> bytes:
        """One candidate."""
        response = self._response(said, request, said.text, _REASONS[said.finish], said.calls)
        return json.dumps(response).encode()

    def refusal(self, refused: Refused, request: Received) -> Refusal:
        """The error object of the API; a blocked prompt is not an error but an answer without candidates."""
        if refused.problem is Problem.BLOCKED:
            body = self._head(request) | {"promptFeedback": {"blockReason": "SAFETY"}}
            return Refusal(200, event(body) if self.streams(request) else json.dumps(body).encode())
        status, error = self._error(refused.problem, refused.message, request)
        return Refusal(status, json.dumps({"error": error}).encode())

    def error_event(self, problem: Problem, request: Received) -> bytes:
        """An error object instead of a response."""
        return event({"error": self._error(problem, None, request)[1]})

    def _error(self, problem: Problem, message: str | None, request: Received) -> tuple[int, dict[str, Any]]:
        status, name, wording = _ERRORS[problem]
        said = message or wording.format(key=secret_of(request), model=self._model(request))
        error: dict[str, Any] = {"code": status, "message": said, "status": name}
        if problem is Problem.QUOTA:
            violation = {"quotaMetric": "requests", "quotaId": _DAILY}
            error["details"] = [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
            ]
        return status, error

    def _model(self, request: Received) -> str:
        found = re.search(r"/models/([^/:?]+)", request.path)
        return found[1] if found else ""

    def _head(self, request: Received) -> dict[str, Any]:
        return {"modelVersion": f"{self._model(request)}-001", "responseId": "r1"}

    def _response(
        self,
        said: Said,
        request: Received,
        text: str,
        reason: str | None,
        calls: Sequence[Called] = (),
    ) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": text}] if text or not calls else []
        parts += [
            {"functionCall": {"name": called.name, "args": json.loads(called.arguments)}} for called in calls
        ]
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
        if reason:
            candidate["finishReason"] = reason
        usage = {"promptTokenCount": said.input_tokens, "totalTokenCount": said.input_tokens}
        if reason:
            usage |= {
                "candidatesTokenCount": said.tokens,
                "totalTokenCount": said.input_tokens + said.tokens,
            }
        return self._head(request) | {"candidates": [candidate], "usageMetadata": usage}
