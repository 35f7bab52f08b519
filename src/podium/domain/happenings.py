"""What the engine tells whoever watches: typed facts, told after they are on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.domain.errors import ErrorRecord
    from podium.domain.ids import RunId
    from podium.domain.journal import Entry
    from podium.domain.runs import Spending
    from podium.domain.states import RunState


@dataclass(frozen=True, slots=True)
class RunMoved:
    """A run changed its state. `waiting_on` says in words what it waits for, `wake_at` when its next timer is due.

    `output` is the UTF-8 JSON of what a completed run returned. Times are seconds since the epoch.
    """

    run: RunId
    workflow: str
    state: RunState
    at: float
    spending: Spending
    waiting_on: str | None = None
    error: ErrorRecord | None = None
    wake_at: float | None = None
    output: bytes | None = None


@dataclass(frozen=True, slots=True)
class EntryMade:
    """A run's journal grew by one entry."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class ChunkPublished:
    """Something was added to a run's stream."""

    run: RunId


Happening = RunMoved | EntryMade | ChunkPublished
