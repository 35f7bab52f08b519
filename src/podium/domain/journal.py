"""Journal entries: the append-only record of a run, from which everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from podium.domain.operations import OperationKind

if TYPE_CHECKING:
    from podium.domain.ids import RunId


class EntryType(StrEnum):
    """What an entry records.

    `done` and `error` are an operation's outcome; `signal` is something that reached the run from outside
    (a cancellation, a timeout). These three are delivered to the workflow, in `seq` order, live and on
    replay. `attempt` records one attempt of an operation, `started` that an at-most-once step was about to
    begin, `patch` that new code was taken at a `patched()`, `retry` that a failed run was tried again and
    which entries no longer count, `continued` that the run went on as new with an empty journal; they are
    kept for people and for recovery and are not delivered.
    """

    DONE = "done"
    ERROR = "error"
    SIGNAL = "signal"
    ATTEMPT = "attempt"
    STARTED = "started"
    PATCH = "patch"
    RETRY = "retry"
    CONTINUED = "continued"


DELIVERED = frozenset({EntryType.DONE, EntryType.ERROR, EntryType.SIGNAL})
"""The entry types that change what the workflow sees."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a run's journal.

    `seq` counts from 1 within the run. `payload` is UTF-8 JSON: the value of `done`, an `ErrorRecord` for
    `error` and failed attempts, an attempt's details for `attempt`, the signal's name for `signal`.
    `attempt` counts from 1; 0 marks an outcome that a person settled. `started_at` and `at` are seconds since the epoch: when the work began and
    when the entry was made.
    """

    run: RunId
    seq: int
    type: EntryType
    kind: OperationKind | None
    key: str
    name: str
    fingerprint: str
    attempt: int
    payload: bytes
    started_at: float
    at: float


class Signal(StrEnum):
    """What can reach a run from outside, apart from outcomes."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
