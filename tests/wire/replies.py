"""What a wire server answers: what the model says, what the service refuses, and how the line breaks."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Finish(StrEnum):
    """Why the model stops; each dialect has its own word for it, or its own shape."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"


class Problem(StrEnum):
    """Why a service refuses; each dialect has its own status, code and wording for it."""

    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TIMED_OUT = "timed_out"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    CONTEXT_WINDOW = "context_window"
    BLOCKED = "blocked"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"


class Break(StrEnum):
    """How a reply is cut short after `Said.pieces_sent` pieces."""

    RESET = "reset"  # the connection is reset (RST)
    CLOSE = "close"  # closed inside a chunked body, which HTTP itself notices
    END = "end"  # the body ends as if it were whole, though the model had not finished
    STALL = "stall"  # nothing more is sent, the connection stays open
    ERROR = "error"  # an error event is sent inside the stream
    GARBAGE = "garbage"  # an event that is not JSON is sent


@dataclass(frozen=True, slots=True)
class Called:
    """A tool that the model wants called, its arguments as JSON, written in pieces."""

    name: str
    arguments: str

    @property
    def pieces(self) -> tuple[str, ...]:
        """The arguments in pieces."""
        return pieces_of(self.arguments)


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says, token by token.

    `logprobs` is one for each of `pieces`, or empty. `delay` comes before the first byte of the response and
    `pause` before each piece, both in seconds. Of the `input_tokens`, `cached_tokens` were read from the service's cache. `calls` come after the text. With `broken` only the first `pieces_sent` pieces are sent.
    """

    pieces: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish = Finish.STOP
    input_tokens: int = 11
    output_tokens: int | None = None
    cost: float | None = None
    delay: float = 0.0
    pause: float = 0.0
    broken: Break | None = None
    pieces_sent: int = 0
    problem: Problem = Problem.OVERLOADED
    calls: tuple[Called, ...] = ()
    cached_tokens: int = 0

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """Output tokens that the usage reports."""
        return len(self.pieces) if self.output_tokens is None else self.output_tokens


@dataclass(frozen=True, slots=True)
class Refused:
    """An error response. `message` None takes the dialect's own wording."""

    problem: Problem
    message: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Raw:
    """Any bytes at all, whatever the dialect."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Dropped:
    """No response: the connection is reset, or kept open in silence when `silent`."""

    silent: bool = False


@dataclass(frozen=True, slots=True)
class Endless:
    """A body that begins with `opening` and goes on with `piece` until the client has had enough."""

    piece: bytes
    opening: bytes = b""
    content_type: str = "application/json"


Reply = Said | Refused | Raw | Dropped | Endless


def pieces_of(text: str) -> tuple[str, ...]:
    """Cut `text` into pieces of a word, a number or a sign each, as a tokenizer would; nothing is lost."""
    return tuple(re.findall(r"\s*(?:[^\W_]+|[^\s])|\s+", text))


def ok(
    text: str,
    *,
    logprobs: float | Sequence[float] | Sequence[tuple[str, float]] = (),
    finish: Finish = Finish.STOP,
    input_tokens: int = 11,
    output_tokens: int | None = None,
    cost: float | None = None,
    delay: float = 0.0,
    pause: float = 0.0,
) -> Said:
    """Say `text` and stop. `logprobs`: one for every piece, one for each, or the tokens with theirs."""
    pieces: tuple[str, ...] = pieces_of(text)
    each: tuple[float, ...]
    if isinstance(logprobs, (int, float)):
        each = (float(logprobs),) * len(pieces)
    elif logprobs and isinstance(logprobs[0], tuple):
        pairs = [pair for pair in logprobs if isinstance(pair, tuple)]
        pieces, each = tuple(token for token, _ in pairs), tuple(value for _, value in pairs)
        assert "".join(pieces) == text, "the tokens must spell the text"
    else:
        each = tuple(value for value in logprobs if isinstance(value, (int, float)))
    assert len(each) in {0, len(pieces)}, f"{len(pieces)} pieces need {len(pieces)} log-probabilities"
    assert all(value <= 0 and not math.isnan(value) for value in each)
    return Said(pieces, each, finish, input_tokens, output_tokens, cost, delay, pause)


def calls(*wanted: tuple[str, str], text: str = "") -> Said:
    """Say `text` and ask for tools to be called: names, and arguments as JSON."""
    return replace(ok(text), calls=tuple(Called(name, arguments) for name, arguments in wanted))


def malformed(text: str = '{"intent": "refund", "sure": ') -> Said:
    """Say something that was to be JSON and is not."""
    return ok(text)


def empty() -> Said:
    """Stop at once without a word."""
    return Said()


def truncated(text: str = '{"intent": "ref') -> Said:
    """Stop in mid-sentence because the output limit is reached."""
    return ok(text, finish=Finish.LENGTH)


def refusal(text: str = "I can't help with that.") -> Said:
    """Decline to answer, as each vendor says so in its format."""
    return ok(text, finish=Finish.REFUSAL)


def content_filter(text: str = "") -> Said:
    """Stop because the vendor's filter stepped in."""
    return ok(text, finish=Finish.CONTENT_FILTER)


def drip(text: str, *, pause: float) -> Said:
    """Say `text` with `pause` seconds before each piece."""
    return ok(text, pause=pause)


def stalled_midway(text: str = "one two three four", *, after: int = 2) -> Said:
    """Say `after` pieces and fall silent."""
    return replace(ok(text), broken=Break.STALL, pieces_sent=after)


def stalled_before_first_token() -> Said:
    """Send the response's head and then nothing."""
    return replace(ok("one two three four"), broken=Break.STALL, pieces_sent=0)


def silent() -> Dropped:
    """Accept the request and never answer."""
    return Dropped(silent=True)


def reset() -> Dropped:
    """Reset the connection instead of answering."""
    return Dropped()


def reset_midway(text: str = "one two three four", *, after: int = 2) -> Said:
    """Say `after` pieces and reset the connection."""
    return replace(ok(text), broken=Break.RESET, pieces_sent=after)


def half_written(text: str = "one two three four", *, after: int = 2) -> Said:
    """Say `after` pieces and close the connection inside the body."""
    return replace(ok(text), broken=Break.CLOSE, pieces_sent=after)


def ends_early(text: str = "one two three four", *, after: int = 2) -> Said:
    """Say `after` pieces and end the body properly, though the model had not finished."""
    return replace(ok(text), broken=Break.END, pieces_sent=after)


def error_midway(problem: Problem = Problem.OVERLOADED, *, after: int = 2) -> Said:
    """Say `after` pieces and then send an error inside the stream."""
    return replace(ok("one two three four"), broken=Break.ERROR, pieces_sent=after, problem=problem)


def garbage_midway(*, after: int = 2) -> Said:
    """Say `after` pieces and then an event that is not JSON."""
    return replace(ok("one two three four"), broken=Break.GARBAGE, pieces_sent=after)


def garbage() -> Said:
    """Answer 200 with an event stream whose first event is not JSON."""
    return replace(ok("one two three four"), broken=Break.GARBAGE, pieces_sent=0)


def web_page() -> Raw:
    """Answer 200 with a web page, as a captive portal or a wrong base URL does."""
    return Raw(b"<!doctype html><html><body><h1>Welcome</h1></body></html>", content_type="text/html")


def bad_request(message: str | None = None) -> Refused:
    """Refuse the request as such (400)."""
    return Refused(Problem.BAD_REQUEST, message)


def unauthorized(message: str | None = None) -> Refused:
    """Refuse the key (401); the dialect's own wording repeats the key, as careless services do."""
    return Refused(Problem.UNAUTHORIZED, message)


def forbidden() -> Refused:
    """Refuse the key for this model (403)."""
    return Refused(Problem.FORBIDDEN)


def not_found() -> Refused:
    """Say that there is no such model (404)."""
    return Refused(Problem.NOT_FOUND)


def timed_out() -> Refused:
    """Say that the request took too long to arrive (408)."""
    return Refused(Problem.TIMED_OUT)


def rate_limited(retry_after: str | None = "2", **headers: str) -> Refused:
    """Refuse for a while (429), with this `Retry-After` header; `x_name="1"` adds the header `x-name: 1`."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Refused(
        Problem.RATE_LIMITED, headers=((("retry-after", retry_after),) if retry_after else ()) + named
    )


def quota_exceeded() -> Refused:
    """Refuse because the account has no credit left."""
    return Refused(Problem.QUOTA)


def context_window() -> Refused:
    """Refuse because the prompt is longer than the model's window."""
    return Refused(Problem.CONTEXT_WINDOW)


def blocked() -> Refused:
    """Refuse because the vendor's filter objects to the prompt."""
    return Refused(Problem.BLOCKED)


def server_error() -> Refused:
    """Fail inside (500)."""
    return Refused(Problem.SERVER_ERROR)


def unavailable() -> Refused:
    """Be unavailable (503)."""
    return Refused(Problem.UNAVAILABLE)


def overloaded() -> Refused:
    """Be overloaded (529, or 503 where the vendor uses that)."""
    return Refused(Problem.OVERLOADED)
