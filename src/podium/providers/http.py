"""The HTTP client of a vendor: one per credential, kept open, told of each request's connect deadline."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpx2

_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)


@dataclass(frozen=True, slots=True)
class Line:
    """What the HTTP client and one request need to know of each other.

    `connect` is the connect deadline in seconds; `responses` are those that were begun.
    """

    connect: float
    responses: list[httpx2.Response] = field(default_factory=list)

    async def drop(self) -> None:
        """Close what a failed request left open; not every library of a vendor does."""
        for response in self.responses:
            await response.aclose()


# The vendors' libraries have no common way to pass a connect deadline down, so it travels beside them; a
# context variable keeps concurrent requests apart.
current: ContextVar[Line | None] = ContextVar("current", default=None)


def new_client() -> httpx2.AsyncClient:
    """Return a client that times out on connecting alone: all other deadlines are kept by `exchange`.

    Redirects are not followed, since a key sent in a header of a vendor's own would go with them.
    """
    hooks: dict[str, list[Callable[..., Any]]] = {"request": [_set_deadlines], "response": [_note]}
    return httpx2.AsyncClient(limits=_LIMITS, timeout=None, event_hooks=hooks)


async def _set_deadlines(request: httpx2.Request) -> None:
    line = current.get()
    connect = line.connect if line else None
    deadlines = {"connect": connect, "read": None, "write": None, "pool": None}
    request.extensions = {**request.extensions, "timeout": deadlines}


async def _note(response: httpx2.Response) -> None:
    line = current.get()
    if line:
        line.responses.append(response)
