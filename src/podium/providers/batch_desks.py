"""What a vendor's own library does for batches: one small shape for all of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic_ai.models.batch import BatchResult, EncodedBatchRequest

from podium.providers.bounds import Bounds


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch as the vendor lists it. `created_at` is seconds since the epoch by the vendor's clock.

    `mark` is what it was handed in under, None where the vendor keeps no such thing; `count` is None while it is not known.
    """

    id: str
    created_at: float
    ended: bool
    count: int | None = None
    mark: str | None = None


class BatchDesk(Protocol):
    """Where a vendor takes batches in and gives results out. Raises what the vendor's library raises."""

    marks: bool
    """Whether what a batch was handed in under can be read from the list of batches."""

    async def create(self, mark: str, requests: Sequence[EncodedBatchRequest]) -> str:
        """Hand in a batch under `mark` and return its id."""
        ...

    def listing(self) -> AsyncIterator[Listed]:
        """Yield the batches of this credential, newest first."""
        ...

    async def look(self, batch: str) -> Listed:
        """Return how a batch stands."""
        ...

    def results(self, batch: str, bounds: Bounds) -> AsyncGenerator[BatchResult]:
        """Yield the results of a batch that has ended, in any order, as they come.

        Raises `TooMuch` beyond `bounds`: its `body` is the most bytes of one result, its `stream` that of all.
        """
        ...

    async def cancel(self, batch: str) -> None:
        """Have a batch stopped."""
        ...

    async def tidy(self, batch: str) -> None:
        """Remove what was uploaded for a batch whose results have been read."""
        ...
