"""What the three dialects have in common: how a request is read and how an answer is spelled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.wire.replies import Problem, Refused, Said

CREATED = 1_760_000_000


@dataclass(frozen=True, slots=True)
class Received:
    """One request that the server received. `body` is the decoded JSON, or {} when it is none; `raw` is what came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response, spelled out."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Telling:
    """The events of a streamed reply: those before the first piece, one for each piece, those after the last."""

    opening: Sequence[bytes]
    pieces: Sequence[bytes]
    closing: Sequence[bytes]


class Dialect(Protocol):
    """How one vendor's service speaks."""

    def base_url(self, origin: str) -> str:
        """Return what a client takes as base URL for the server at `origin`."""
        ...

    def streams(self, request: Received) -> bool:
        """Return whether the client asks for a stream."""
        ...

    def telling(self, said: Said, request: Received) -> Telling:
        """Spell `said` as a stream of events."""
        ...

    def whole(self, said: Said, request: Received) -> bytes:
        """Spell `said` as one body."""
        ...

    def refusal(self, refused: Refused, request: Received) -> Refusal:
        """Spell an error response."""
        ...

    def error_event(self, problem: Problem, request: Received) -> bytes:
        """Spell an error inside a stream."""
        ...


def event(data: Any, name: str | None = None) -> bytes:
    """Return one server-sent event with `data` as JSON, or as it is when it is text."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()


def secret_of(request: Received) -> str:
    """Return the key that the client sent, wherever the vendor has it."""
    headers = request.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return headers.get("x-api-key") or headers.get("x-goog-api-key") or bearer
