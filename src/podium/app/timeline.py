"""The timeline of a run: what its journal says, operation by operation, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import orjson

from podium.domain.answers import CallAttempt
from podium.domain.attempts import decode_note
from podium.domain.attributes import Attributes
from podium.domain.errors import ErrorRecord
from podium.domain.journal import Entry, EntryType
from podium.domain.operations import OperationKind
from podium.domain.runs import Run
from podium.flow.failures import decode_error


@dataclass(frozen=True, slots=True)
class TimelineAttempt:
    """One attempt: a request to a model (`call`) or a failed try of a step (`error`, next at `resume_at`).

    `at` is when it began and `resume_at` when the next may, in seconds since the epoch; `seconds` is how long it took.
    """

    number: int
    at: float
    seconds: float
    call: CallAttempt | None = None
    error: ErrorRecord | None = None
    resume_at: float | None = None


@dataclass(slots=True)
class TimelineOperation:
    """One operation of a run. `state` is `done`, `error`, `open` or a signal's name; times in seconds since the epoch."""

    key: str
    kind: OperationKind | None
    name: str
    state: str
    started_at: float
    ended_at: float | None = None
    value: Any = None
    error: ErrorRecord | None = None
    attempts: list[TimelineAttempt] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """How long it took, in seconds; None while it is open."""
        return None if self.ended_at is None else max(self.ended_at - self.started_at, 0.0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run, its operations in the order in which they ended, open ones last, and its attributes as they are now."""

    run: Run
    operations: Sequence[TimelineOperation]
    attributes: Attributes = field(default_factory=dict)


_OF_THE_RUN = frozenset({EntryType.SIGNAL, EntryType.PATCH, EntryType.RETRY, EntryType.CONTINUED})


def timeline_of(run: Run, entries: Sequence[Entry]) -> Timeline:
    """Return the timeline that a run's journal (in `seq` order) tells."""
    operations: dict[str, TimelineOperation] = {}
    ended: list[TimelineOperation] = []
    for entry in entries:
        if entry.type in _OF_THE_RUN:
            ended.append(TimelineOperation("", None, entry.name, entry.name, entry.at, entry.at))
            continue
        operation = operations.get(entry.key)
        if operation is None:
            operation = TimelineOperation(entry.key, entry.kind, entry.name, "open", entry.started_at)
            operations[entry.key] = operation
        operation.started_at = min(operation.started_at, entry.started_at)
        match entry.type:
            case EntryType.STARTED:
                pass
            case EntryType.ATTEMPT:
                operation.attempts.append(_attempt(entry))
            case EntryType.DONE:
                operation.state, operation.ended_at = "done", entry.at
                operation.value = orjson.loads(entry.payload)
            case EntryType.ERROR:
                operation.state, operation.ended_at = "error", entry.at
                operation.error = decode_error(entry.payload)
                if entry.attempt > 1:
                    # The earlier ones have entries of their own; the last one is this.
                    took = entry.at - entry.started_at
                    last = TimelineAttempt(entry.attempt, entry.started_at, took, error=operation.error)
                    operation.attempts.append(last)
            case EntryType.SIGNAL | EntryType.PATCH | EntryType.RETRY | EntryType.CONTINUED:
                raise AssertionError(f"{entry.type} is of the run, not of an operation")
            case _:
                assert_never(entry.type)
        if operation.ended_at is not None:
            ended.append(operations.pop(entry.key))
    return Timeline(run, [*ended, *operations.values()])


def _attempt(entry: Entry) -> TimelineAttempt:
    note = decode_note(entry.payload)
    took = note.call.latency if note.call is not None else entry.at - entry.started_at
    number = note.call.number if note.call is not None else entry.attempt
    return TimelineAttempt(number, entry.started_at, max(took, 0.0), note.call, note.error, note.resume_at)
