"""Batches: many requests handed to a vendor at once, cheaper and within hours, collected later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from podium.ports.models import ModelFailure, ModelReply, ModelRequest


@runtime_checkable
class BatchProvider(Protocol):
    """A provider some of whose models take batches."""

    async def takes_batches(self, model: str) -> bool:
        """Return whether `model` takes batches at all. No traffic."""
        ...

    async def submit(self, model: str, requests: Sequence[ModelRequest]) -> str:
        """Hand in `requests`; return what finds them again, to be stored as it is. Raises `ModelFailure`."""
        ...

    async def collect(
        self, model: str, ticket: str, requests: Sequence[ModelRequest]
    ) -> Sequence[ModelReply | ModelFailure] | None:
        """Return what became of each request, in their order, or None while the vendor is at work on them.

        `requests` are those that were submitted. Raises `ModelFailure` when the vendor cannot be asked.
        """
        ...
