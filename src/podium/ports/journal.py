"""The durable side of an engine: changes go in, in order, and are acknowledged once they are on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from podium.domain.errors import ErrorRecord
    from podium.domain.ids import RunId
    from podium.domain.inbox import Delivery
    from podium.domain.journal import Entry
    from podium.domain.reviews import Review
    from podium.domain.runs import Run, Spending
    from podium.domain.states import RunState


@dataclass(frozen=True, slots=True)
class CreateRun:
    """Store a run, unless one with its id exists already."""

    run: Run


@dataclass(frozen=True, slots=True)
class Append:
    """Add one entry to its run's journal."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class MoveRun:
    """Change a run's state and what goes with it. `at` is seconds since the epoch.

    `output`, `error`, `wake_at` and `waiting_on` replace what the row held (None clears them). The first
    move to `running` sets `started_at`, a move to a terminal state sets `finished_at`.
    """

    run: RunId
    state: RunState
    at: float
    spending: Spending
    output: bytes | None = None
    error: ErrorRecord | None = None
    wake_at: float | None = None
    waiting_on: str | None = None


@dataclass(frozen=True, slots=True)
class OpenReview:
    """Store a review, unless one with its id exists already."""

    review: Review


@dataclass(frozen=True, slots=True)
class CloseReviews:
    """Cancel every undecided review of a run that has ended, or only the one at `key`."""

    run: RunId
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Deliver:
    """Put a delivery into the inbox of its run."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class TakeDelivery:
    """Remove a delivery from the inbox, because this same commit holds what it led to."""

    id: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """Put events that were taken into their run's inbox again, in this order and before all that are there."""

    events: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class Renew:
    """Let a run go on as new after `generation`: with this input, of this version, with an empty journal.

    The journal of the generation that ends is archived; `at` is seconds since the epoch.
    """

    run: RunId
    generation: int
    input: bytes
    version: str
    at: float
    spending: Spending


@dataclass(frozen=True, slots=True)
class PublishChunk:
    """Add what an attempt of the operation at `key` publishes; `at` is seconds since the epoch."""

    run: RunId
    key: str
    attempt: int
    payload: bytes
    at: float


@dataclass(frozen=True, slots=True)
class SupersedeChunks:
    """Mark that what was published for the operation at `key` so far no longer counts, if there is any."""

    run: RunId
    key: str
    at: float


Change = (
    CreateRun
    | Append
    | MoveRun
    | OpenReview
    | CloseReviews
    | Deliver
    | TakeDelivery
    | PutBack
    | Renew
    | PublishChunk
    | SupersedeChunks
)


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run's row, its whole journal in `seq` order, and the events in its inbox in order of arrival.

    The journal counts from 1 without a gap. An entry whose long payload the database has lost raises
    `StorageUnavailable` when it is asked for. `is_new` says that the run's code has never run.
    """

    run: Run
    entries: Sequence[Entry]
    events: Sequence[Delivery] = ()
    is_new: bool = False


class Journal(Protocol):
    """What an engine needs of its database. One owner at a time; used from one event loop."""

    def commit(self, changes: Sequence[Change], done: Callable[[], None] | None = None) -> None:
        """Queue `changes` to be made in one transaction, all or none, in the order of the calls.

        Returns at once. `done` is called on the event loop once the changes are on disk; callbacks come in
        the order of the calls, many to one wake-up. A transaction that cannot be made durable stops the
        journal for good: the function given to `on_failure` is called with the error, and no later `done`.
        """
        ...

    def on_failure(self, stop: Callable[[Exception], None]) -> None:
        """Set what is called, once, on the event loop, when the database can no longer be written."""
        ...

    async def create(self, run: Run) -> Run:
        """Store `run` durably, and return it; or return the stored run that has its id already."""
        ...

    async def load(self, run: RunId) -> LoadedRun | None:
        """Return a run and its journal, or None."""
        ...

    async def unfinished(self, limit: int, after: Run | None = None) -> Sequence[Run]:
        """Return the oldest runs in state `pending` or `running`, after run `after` in (created_at, id) order."""
        ...

    async def due(self, now: float, limit: int) -> Sequence[RunId]:
        """Return `waiting` runs whose `wake_at` is at or before `now` (seconds since the epoch), oldest first."""
        ...

    async def next_wake(self) -> float | None:
        """Return the earliest `wake_at` of the waiting runs, in seconds since the epoch, or None."""
        ...

    async def deliveries(self, after: int, limit: int) -> Sequence[Delivery]:
        """Return deliveries with an id greater than `after`, in order of arrival."""
        ...

    def changed_elsewhere(self) -> bool:
        """Return whether the database may have been written by another process since the last call.

        Costs microseconds. Writes of this process may count too.
        """
        ...
