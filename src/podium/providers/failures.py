"""Every failure of a hosted model falls into one class, once, here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import httpx2
import pydantic
from pydantic_ai import exceptions as ai

from podium.domain.answers import FailureKind, Usage
from podium.domain.money import Money
from podium.ports.models import ModelFailure
from podium.providers.bounds import TooMuch
from podium.providers.wording import one_line

_PHRASES: Mapping[FailureKind, str] = {
    FailureKind.CONNECT: "could not be reached",
    FailureKind.RESET: "broke off",
    FailureKind.TIMEOUT: "took too long",
    FailureKind.STALL: "fell silent",
    FailureKind.SERVER: "failed",
    FailureKind.RATE_LIMIT: "asks to slow down",
    FailureKind.OVERLOADED: "is overloaded",
    FailureKind.QUOTA: "has no quota or credit left",
    FailureKind.AUTHENTICATION: "refused the key",
    FailureKind.NOT_FOUND: "does not know the model or the address",
    FailureKind.CONTEXT_WINDOW: "cannot take so long a prompt",
    FailureKind.CONTENT_FILTER: "blocked the prompt",
    FailureKind.BAD_REQUEST: "refused the request",
    FailureKind.INTERNAL: "failed unexpectedly",
}

# The first that matches counts: subclasses stand before their bases.
_TYPES: tuple[tuple[type[Exception], FailureKind], ...] = (
    (ai.ModelQuotaExceededError, FailureKind.QUOTA),
    (ai.ModelRateLimitError, FailureKind.RATE_LIMIT),
    (ai.ModelUnavailableError, FailureKind.OVERLOADED),
    (ai.ModelServerError, FailureKind.SERVER),
    (ai.ModelContextWindowExceededError, FailureKind.CONTEXT_WINDOW),
    (ai.ModelAuthenticationError, FailureKind.AUTHENTICATION),
    (ai.ModelNotFoundError, FailureKind.NOT_FOUND),
    (ai.ModelRequestRejectedError, FailureKind.BAD_REQUEST),
    (ai.ModelRequestTimeout, FailureKind.TIMEOUT),
    (ai.ContentFilterError, FailureKind.CONTENT_FILTER),
    # What is left of these two is a reply that could not be read.
    (ai.ModelAPIError, FailureKind.SERVER),
    (ai.UnexpectedModelBehavior, FailureKind.SERVER),
    (ai.UserError, FailureKind.BAD_REQUEST),
    (json.JSONDecodeError, FailureKind.SERVER),
    (RecursionError, FailureKind.SERVER),
    (UnicodeDecodeError, FailureKind.SERVER),
    (pydantic.ValidationError, FailureKind.SERVER),
    (httpx2.ConnectError, FailureKind.CONNECT),
    (httpx2.ConnectTimeout, FailureKind.CONNECT),
    (httpx2.UnsupportedProtocol, FailureKind.BAD_REQUEST),
    (TooMuch, FailureKind.SERVER),
    (httpx2.TransportError, FailureKind.RESET),
    (OSError, FailureKind.RESET),
)

_STATUSES: Mapping[int, FailureKind] = {
    408: FailureKind.SERVER,
    409: FailureKind.SERVER,
    413: FailureKind.CONTEXT_WINDOW,
}

# The same, where an error is not the model library's own.
_RAW_STATUSES: Mapping[int, FailureKind] = {
    401: FailureKind.AUTHENTICATION,
    403: FailureKind.AUTHENTICATION,
    404: FailureKind.NOT_FOUND,
    405: FailureKind.NOT_FOUND,
    429: FailureKind.RATE_LIMIT,
    501: FailureKind.NOT_FOUND,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}
_LIBRARIES = frozenset({"anthropic", "google", "openai"})

# Vendors that word a blocked prompt as a bad request.
_FILTER_WORDS = ("content_filter", "content filter", "content_policy", "content management policy")


def classify(
    error: Exception,
    subject: str,
    *,
    secrets: Iterable[str] = (),
    usage: Usage | None = None,
    cost: Money | None = None,
    price_table: str = "",
) -> ModelFailure:
    """Return the `ModelFailure` that `error` amounts to. `subject` says which model failed.

    The message has at most 300 characters and none of `secrets`; `usage` and `cost`, priced by
    `price_table`, are what was counted before the failure.
    """
    if isinstance(error, ModelFailure):
        return error
    kind = kind_of(error)
    status = getattr(error, "status_code", None)
    told = _told(error)
    if kind is FailureKind.INTERNAL:
        told = f"{type(error).__name__}{_place(error)}: {told}"
    message = f"{subject} {_PHRASES[kind]}"
    message += f" (HTTP {status})" if isinstance(status, int) else ""
    message += f": {told}" if told else ""
    return ModelFailure(
        kind,
        one_line(message, secrets),
        retry_after=_retry_after(error),
        usage=usage,
        cost=cost,
        price_table=price_table,
    )


def kind_of(error: Exception) -> FailureKind:
    """Return the class of `error`."""
    if isinstance(error, ai.ModelConnectionError):
        return _connection_kind(error)
    if isinstance(error, ai.ModelHTTPError) and error.status_code in _STATUSES:
        return _STATUSES[error.status_code]
    kind = next((kind for known, kind in _TYPES if isinstance(error, known)), None) or _kind_of_raw(error)
    if kind is FailureKind.BAD_REQUEST and _speaks_of_a_filter(error):
        return FailureKind.CONTENT_FILTER
    if kind is FailureKind.SERVER:
        return _kind_of_status(error) or kind
    return kind


def _kind_of_raw(error: Exception) -> FailureKind:
    """Return the class of an error of a vendor's own library, which goes by statuses and wraps what HTTP raised."""
    status = getattr(error, "status_code", getattr(error, "code", None))
    if isinstance(status, int):
        if status == 429 and "quota" in str(getattr(error, "body", "") or error).lower():
            return FailureKind.QUOTA
        known = _RAW_STATUSES.get(status, _STATUSES.get(status))
        return known or (FailureKind.BAD_REQUEST if 400 <= status < 500 else FailureKind.SERVER)
    cause = error.__cause__
    if isinstance(cause, Exception) and type(error).__module__.partition(".")[0] in _LIBRARIES:
        return kind_of(cause)
    return FailureKind.INTERNAL


def _connection_kind(error: ai.ModelConnectionError) -> FailureKind:
    match error.phase:
        case "connect" | "pool":
            return FailureKind.CONNECT
        case "write" | "read" | None:
            return FailureKind.RESET


def _kind_of_status(error: Exception) -> FailureKind | None:
    """Return the class of a status that the library gave none to: a redirect, or a rare refusal."""
    cause = error.__cause__
    status = getattr(error, "status_code", None) or getattr(
        cause, "status_code", getattr(cause, "code", None)
    )
    if not isinstance(status, int) or isinstance(error, ai.ModelServerError):
        return None
    if 300 <= status < 400:
        return FailureKind.NOT_FOUND
    return FailureKind.BAD_REQUEST if 400 <= status < 500 else None


def _speaks_of_a_filter(error: Exception) -> bool:
    text = f"{getattr(error, 'body', '')} {error}".lower()
    return any(words in text for words in _FILTER_WORDS)


def _told(error: Exception) -> str:
    """Return what the service said, or else what the deepest cause says, without markup or wrapping."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else body
    said = inner.get("message") if isinstance(inner, Mapping) else inner
    if isinstance(said, str) and said.strip():
        return "it sent a web page" if said.lstrip().startswith("<") else said
    if isinstance(error, ai.ModelHTTPError):
        return ""
    if isinstance(error, ai.UnexpectedModelBehavior):
        return "what it sent is not a reply"
    causes = [error, *_causes(error)]
    if any(isinstance(cause, RecursionError) for cause in causes):
        return "what it sent is nested too deeply to be read"
    if any(isinstance(cause, json.JSONDecodeError | UnicodeDecodeError) for cause in causes):
        return "what it sent is not JSON"
    return next((str(cause) for cause in reversed(causes) if str(cause)), type(causes[-1]).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what led to `error`, the deepest last."""
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield cause
        yield from _causes(cause)


def _place(error: Exception) -> str:
    """Return where an unexpected error arose, as ` at file.py:123`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""


def _retry_after(error: Exception) -> float | None:
    asked = getattr(error, "retry_after", None)
    if asked is None:
        # The library reads whole seconds, dates and milliseconds; some services send fractions.
        headers = getattr(error, "headers", None) or getattr(getattr(error, "response", None), "headers", {})
        try:
            asked = float(headers.get("retry-after", ""))
        except ValueError:
            return None
    return float(asked) if math.isfinite(asked) and asked >= 0 else None
