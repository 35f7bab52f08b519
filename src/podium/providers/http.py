"""The HTTP client of a vendor: one per credential, kept open, told of each request's connect deadline and bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from podium.providers.bounds import ENCODINGS, BoundedStream, Bounds
from podium.providers.counts import ReadableStream

_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)


@dataclass(frozen=True, slots=True)
class Line:
    """What the HTTP client and one request need to know of each other.

    `connect` is the connect deadline in seconds, `bounds` how much is read; `responses` are those that were begun, and
    `refusals` says why one of them was not read to its end. `lines` bounds the results of a batch while they are asked for.
    """

    connect: float
    bounds: Bounds
    responses: list[httpx2.Response] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    lines: Bounds | None = None

    async def drop(self) -> None:
        """Close what a failed request left open; not every library of a vendor does."""
        for response in self.responses:
            await response.aclose()


# The vendors' libraries have no common way to pass a connect deadline down, so it travels beside them; a
# context variable keeps concurrent requests apart.
current: ContextVar[Line | None] = ContextVar("current", default=None)


@contextmanager
def in_lines(bounds: Bounds) -> Iterator[None]:
    """Have what is asked for meanwhile, and is not JSON as a whole, read as it came, up to `bounds.stream` bytes."""
    line = current.get()
    if line is not None:
        current.set(replace(line, lines=bounds))
    try:
        yield
    finally:
        # No token: a generator may be closed in another context than its own.
        current.set(line)


def new_client() -> httpx2.AsyncClient:
    """Return a client that times out on connecting alone: all other deadlines are kept by `exchange`.

    Redirects are not followed, since a key sent in a header of a vendor's own would go with them.
    """
    hooks: dict[str, list[Callable[..., Any]]] = {"request": [_set_deadlines], "response": [_bound]}
    return httpx2.AsyncClient(limits=_LIMITS, timeout=None, event_hooks=hooks)


async def _set_deadlines(request: httpx2.Request) -> None:
    line = current.get()
    connect = line.connect if line else None
    deadlines = {"connect": connect, "read": None, "write": None, "pool": None}
    request.extensions = {**request.extensions, "timeout": deadlines}
    request.headers["accept-encoding"] = ENCODINGS


async def _bound(response: httpx2.Response) -> None:
    line = current.get()
    if line:
        line.responses.append(response)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if line.lines and response.is_success and "json" not in response.request.headers.get("accept", ""):
            whole = Bounds(line.lines.stream, line.lines.stream)
            response.stream = BoundedStream(response, "", whole, line.refusals.append)
            return
        stream = BoundedStream(response, kind, line.bounds, line.refusals.append)
        response.stream = ReadableStream(stream, kind)
