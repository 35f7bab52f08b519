"""Upstreams that speak the client's own format: bytes to them, bytes from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server of OpenAI's format, the model to name to it, and the key it takes.

    `name` is the model's name here; `priced_at` is the server's address when it is not the vendor's own.
    """

    name: str
    model: str
    url: str
    key: str = field(repr=False)
    priced_at: str | None = None


class WireReply(Protocol):
    """A reply on its way. Closing it early ends it at the upstream too."""

    status: int
    headers: Mapping[str, str]

    async def read(self, most: int) -> bytes:
        """Return the whole body; raises `ModelFailure`, also for a body of more than `most` bytes."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises `ModelFailure`."""
        ...

    def close(self) -> None:
        """Let go of the connection; a reply that was read to its end leaves it open for the next."""
        ...


class Wire(Protocol):
    """Sends requests on to upstreams."""

    def upstream(self, name: str, credential: str = "") -> Upstream | None:
        """Return where the model called `name` is, or None when that is no server of OpenAI's format.

        `credential` names the environment variable with its key, empty for what is usual there.
        """
        ...

    async def post(self, upstream: Upstream, path: str, body: bytes, headers: Mapping[str, str]) -> WireReply:
        """Send `body` to `path` under the upstream's address, with its key; raises `ModelFailure`.

        Keeps no deadline but that of connecting, and may be cancelled at any moment.
        """
        ...

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        ...
