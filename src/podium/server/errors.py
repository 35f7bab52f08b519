"""What goes wrong, in the shape that OpenAI's clients know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import orjson

from podium.app.admission import Limit, Refused
from podium.domain.answers import FailureKind
from podium.ports.models import ModelFailure

Header = tuple[bytes, bytes]
_DO_NOT_RETRY: Final[Header] = (b"x-should-retry", b"false")


class ApiError(Exception):
    """A request that is answered with an error. `kind` is its class in the log."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kind: str | None = None,
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.kind = kind or code or type
        self.headers = headers

    def saying(self, message: str) -> ApiError:
        """Return the same error in other words."""
        return ApiError(
            self.status,
            message,
            type=self.type,
            code=self.code,
            param=self.param,
            kind=self.kind,
            headers=self.headers,
        )

    def body(self) -> bytes:
        """Return the error as JSON."""
        error = {"message": str(self), "type": self.type, "param": self.param, "code": self.code}
        return orjson.dumps({"error": error})


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the error of a request that cannot be used."""
    return ApiError(400, message, param=param, code=code, kind=code or "bad_request")


def internal_error(request: str) -> ApiError:
    """Return the error of a request, by its id, that failed in a way that nobody foresaw."""
    return ApiError(
        500,
        f"this is a fault in Podium; please report it with the request's id, {request}",
        type="server_error",
        code="internal_error",
    )


def unsupported(message: str) -> ApiError:
    """Return the error of what this server cannot do for the model that was asked for."""
    return ApiError(501, message, type="not_supported_error", code="unsupported", headers=(_DO_NOT_RETRY,))


# status, type, code
_FAILURES: Mapping[FailureKind, tuple[int, str, str]] = MappingProxyType(
    {
        FailureKind.BAD_REQUEST: (400, "invalid_request_error", "invalid_value"),
        FailureKind.CONTEXT_WINDOW: (400, "invalid_request_error", "context_length_exceeded"),
        FailureKind.CONTENT_FILTER: (400, "invalid_request_error", "content_filter"),
        FailureKind.NOT_FOUND: (404, "invalid_request_error", "model_not_found"),
        FailureKind.RATE_LIMIT: (429, "rate_limit_error", "rate_limit_exceeded"),
        FailureKind.QUOTA: (429, "insufficient_quota", "upstream_quota"),
        FailureKind.OVERLOADED: (503, "server_error", "upstream_overloaded"),
        FailureKind.LIMITED: (429, "rate_limit_error", "upstream_limit"),
        FailureKind.BREAKER_OPEN: (503, "server_error", "upstream_unavailable"),
        FailureKind.INVALID_SYNTAX: (502, "server_error", "invalid_output"),
        FailureKind.INVALID_SCHEMA: (502, "server_error", "invalid_output"),
        FailureKind.TIMEOUT: (504, "server_error", "upstream_timeout"),
        FailureKind.STALL: (504, "server_error", "upstream_timeout"),
    }
)


def of_failure(failure: ModelFailure) -> ApiError:
    """Return the error that tells a client of a model's failure."""
    status, kind, code = _FAILURES.get(failure.kind, (502, "server_error", "upstream_error"))
    headers = () if failure.retry_after is None else (retry_after(failure.retry_after),)
    said = str(failure)
    if code == "invalid_output":
        # The model was asked again already.
        headers = (*headers, _DO_NOT_RETRY)
        said = f"the model did not answer with JSON of the schema: {said}"
    return ApiError(status, said, type=kind, code=code, kind=failure.kind.value, headers=headers)


def of_refusal(refused: Refused) -> ApiError:
    """Return the error of a request that a key's limits do not allow."""
    headers = () if refused.retry_after is None else (retry_after(refused.retry_after),)
    match refused.limit:
        case Limit.REQUESTS | Limit.TOKENS | Limit.CONCURRENCY:
            code = f"{refused.limit}_limit_exceeded"
            return ApiError(429, refused.message, type="rate_limit_error", code=code, headers=headers)
        case Limit.RESERVED:
            # Retried by clients like any other limit, and told apart in the log.
            return ApiError(
                429,
                refused.message,
                type="rate_limit_error",
                code="rate_limit_exceeded",
                kind="budget_reserved",
                headers=headers,
            )
        case Limit.SIZE:
            return bad_request(refused.message, "max_tokens", "request_exceeds_budget")
        case Limit.BUDGET:
            headers = (*headers, _DO_NOT_RETRY)
            return ApiError(
                429, refused.message, type="insufficient_quota", code="insufficient_quota", headers=headers
            )
        case Limit.UNPRICED:
            return ApiError(403, refused.message, type="permission_error", code="no_price")


def retry_after(seconds: float) -> Header:
    """Return the header that says when to try again: whole seconds, never too early."""
    return b"retry-after", str(max(1, math.ceil(seconds))).encode()
