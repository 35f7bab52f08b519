"""What the admission of queued runs needs of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from podium.domain.queues import Used

if TYPE_CHECKING:
    from podium.domain.ids import RunId
    from podium.domain.queues import Queue, Spent
    from podium.domain.runs import Run


@dataclass(frozen=True, slots=True)
class Mine:
    """The runs that a process works on: those of its workflows, or of them only one run and its children."""

    workflows: Sequence[str]
    only: RunId | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The run that a start led to: new, or with that id already, or waiting under the same debounce key."""

    run: Run


@dataclass(frozen=True, slots=True)
class Full:
    """Nothing was stored: `depth` runs are pending in the queue already."""

    depth: int


Placed = Stored | Full


@dataclass(frozen=True, slots=True)
class Ask:
    """What to admit at `now` (seconds since the epoch): up to `most` runs of `queue` that are `mine`.

    `spent` is what has been used of the queue's budget. `turns` holds, for each priority, the tenant that was
    served last; for a priority without one, what is stored says it.
    """

    queue: Queue
    mine: Mine
    now: float
    most: int
    spent: Used = field(default_factory=Used)
    turns: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A run that may begin: stored as `running` from now on."""

    run: RunId
    priority: int
    tenant: str


@dataclass(frozen=True, slots=True)
class Admission:
    """What was admitted, in order, and what is left.

    `left` says whether runs that are mine are still pending, `closed` whether a limit keeps them. `again_at` is the earliest time, in seconds since
    the epoch, at which the queue may begin a run although nothing else happens; None when nobody knows.
    """

    runs: Sequence[Admitted]
    left: bool
    closed: bool
    again_at: float | None


class QueueStore(Protocol):
    """The queued runs of one database, in transactions of which each is made wholly or not at all."""

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Keep the limits of the declared queues, in place of earlier ones, for other processes to see."""
        ...

    async def place(self, run: Run, max_depth: int | None) -> Placed:
        """Store `run`, which names a queue, unless `max_depth` runs are pending there already.

        A run with its id stays as it is. A pending run of the same queue, workflow, tenant and debounce key
        takes over the input, priority and start time of `run`. Raises `InvalidInput` when the id is another
        tenant's.
        """
        ...

    async def admit(self, ask: Ask) -> Admission:
        """Make the next runs of a queue `running`, as many as its limits allow."""
        ...

    async def spending(self, queue: Queue, now: float) -> Sequence[Spent]:
        """Return what the queue's runs spent within its budget's period; nothing for a queue without a budget."""
        ...
