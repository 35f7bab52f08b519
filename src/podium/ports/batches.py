"""Batches: many requests handed to a vendor at once, cheaper and within hours, collected later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from podium.ports.models import ModelFailure, ModelReply, ModelRequest


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one batch holds at most: a number of requests, and bytes."""

    requests: int
    size: int


@dataclass(frozen=True, slots=True)
class Sought:
    """A batch that a vendor may have taken from a process that did not live to hear of it.

    It has `count` requests and was handed in under `mark` after `since` (seconds since the epoch). `others` are the ids
    of batches that are known to be somebody else's.
    """

    mark: str
    count: int
    since: float
    others: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a vendor's list of batches says: the id of the one that was sought, or else those that may yet be it.

    Where a vendor tells what is in a batch only when it has ended, those that have not are in `maybe`.
    """

    batch: str | None = None
    maybe: tuple[str, ...] = ()


@runtime_checkable
class BatchProvider(Protocol):
    """A provider some of whose models take batches. What asks the vendor raises `ModelFailure`."""

    async def batch_limits(self, model: str) -> BatchLimits | None:
        """Return what a batch of `model` holds at most, None when it takes none. No traffic."""
        ...

    async def submit(self, model: str, mark: str, requests: Sequence[ModelRequest]) -> str:
        """Hand in `requests` as one batch under `mark`, by which `find` finds it; return its id.

        A request that cannot be in one batch with the others is left out, and then has no result.
        """
        ...

    async def find(self, model: str, sought: Sought) -> Lookup:
        """Look through the vendor's list of batches for one that was handed in."""
        ...

    async def is_over(self, model: str, batch: str) -> bool:
        """Return whether the vendor has ended a batch, however."""
        ...

    async def results(
        self, model: str, batch: str, mark: str, requests: Sequence[ModelRequest]
    ) -> Sequence[ModelReply | ModelFailure]:
        """Return what became of each request of a batch that is over, in their order.

        `mark` and `requests` are those that it was submitted with.
        """
        ...

    async def cancel(self, model: str, batch: str) -> None:
        """Have the vendor stop a batch; one that is over stays as it is."""
        ...


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch that is about to be handed in, or has been: `batch` is None until the vendor has given it an id.

    `model` is the candidate (`provider:model`), `place` and `credential` are those of its route, `begun_at` is seconds since the
    epoch.
    """

    tenant: str
    mark: str
    run: str
    model: str
    place: str
    credential: str
    count: int
    begun_at: float
    batch: str | None = None


class BatchRecords(Protocol):
    """Remembers, across crashes, which batches were begun, so that none is handed in twice."""

    async def find(self, tenant: str, mark: str) -> BatchRecord | None:
        """Return what is known of a batch."""
        ...

    async def begin(self, record: BatchRecord) -> None:
        """Write down that a batch is about to be handed in, before it is."""
        ...

    async def taken(self, tenant: str, mark: str, batch: str) -> None:
        """Write down the id that the vendor has given to a batch."""
        ...

    async def forget(self, tenant: str, mark: str) -> None:
        """Forget a batch, because it was not taken or nothing is to come of it any more."""
        ...

    async def others(self, place: str, mark: str) -> frozenset[str]:
        """Return the ids of the batches at `place` that are not the one of `mark`."""
        ...
