"""The timeline of a run: what its journal says, operation by operation, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

import orjson

from podium.domain.answers import CallAttempt
from podium.domain.attempts import decode_note
from podium.domain.attributes import Attributes
from podium.domain.errors import ErrorRecord
from podium.domain.history import decode_retry, history_of
from podium.domain.ids import RunId, child_run_id, operation_key, repeated_key
from podium.domain.journal import Entry, EntryType
from podium.domain.operations import OperationKind
from podium.domain.runs import Run
from podium.flow.compensation import BARRIER
from podium.flow.failures import decode_error, ended_for_good

if TYPE_CHECKING:
    from podium.storage.in_flight import OpenEffect


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
    """One operation of a run. `state` is `done`, `error` or `open`; times are in seconds since the epoch.

    `entry` is the number of the journal entry that holds its outcome. `struck` says that it no longer counts,
    because the run was retried after it. `compensates` marks what undoes a step, `settled` an outcome that a person
    found out. `child` is the id of the child run, `review` that of the review, if it is one.
    """

    key: str
    kind: OperationKind | None
    name: str
    state: str
    started_at: float | None
    ended_at: float | None = None
    value: Any = None
    error: ErrorRecord | None = None
    attempts: list[TimelineAttempt] = field(default_factory=list)
    entry: int | None = None
    struck: bool = False
    compensates: bool = False
    settled: bool = False
    child: RunId | None = None
    review: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, in seconds; None while it is open."""
        if self.ended_at is None or self.started_at is None:
            return None
        return max(self.ended_at - self.started_at, 0.0)


@dataclass(frozen=True, slots=True)
class TimelineMark:
    """Something that happened to the run itself: a `signal`, `patch`, `retry`, or that it `continued` as new.

    `name` is the signal's or patch's, `key` where new code was taken. `struck` is the number of entries that no longer
    count because of a retry. `entry` is the number of its journal entry, `at` is in seconds since the epoch.
    """

    type: EntryType
    name: str
    entry: int
    at: float
    key: str = ""
    struck: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run in one of its generations: its operations in the order in which they ended, open ones last, and its marks.

    `attributes` are those of the run as they are now.
    """

    run: Run
    operations: Sequence[TimelineOperation]
    marks: Sequence[TimelineMark] = ()
    generation: int = 0
    attributes: Attributes = field(default_factory=dict)


_OF_THE_RUN = frozenset({EntryType.SIGNAL, EntryType.PATCH, EntryType.RETRY, EntryType.CONTINUED})


def timeline_of(
    run: Run, entries: Sequence[Entry], effects: Sequence[OpenEffect] = (), generation: int | None = None
) -> Timeline:
    """Return the timeline that a run's journal (in `seq` order) tells.

    `effects` are the reviews and child runs that the run waits for, `generation` the one that the journal is of,
    the present one unless it is given.
    """
    own = run.generation if generation is None else generation
    marks = [_mark(entry) for entry in entries if entry.type in _OF_THE_RUN]
    operations = [*_operations(run, entries)]
    known = {operation.child for operation in operations} | {operation.review for operation in operations}
    if own == run.generation:
        operations += [_open(effect) for effect in effects if effect.id not in known and not effect.has_come]
    return Timeline(run, operations, marks, own)


def _operations(run: Run, entries: Sequence[Entry]) -> Iterator[TimelineOperation]:
    struck_by = _struck_by(entries)
    undoing: set[str] = set()
    # As many as `children_before` counts when a child is started.
    children_before: Counter[str] = Counter()
    void = {each.seq for ends in history_of(entries).void.values() for each in ends}
    # What one retry struck at a key is another operation than what came at that key after.
    under_way: dict[tuple[str, int], TimelineOperation] = {}
    for entry in entries:
        if entry.type is EntryType.RETRY:
            children_before.update(decode_retry(entry.payload).unanswered)
        if entry.type in _OF_THE_RUN:
            continue
        retry = struck_by.get(entry.seq, 0)
        operation = under_way.get((entry.key, retry))
        if operation is None:
            operation = TimelineOperation(entry.key, entry.kind, entry.name, "open", entry.started_at)
            operation.struck = retry > 0
            operation.compensates = _branch(entry.key) in undoing
            under_way[entry.key, retry] = operation
        _take(operation, entry)
        if operation.ended_at is None:
            continue
        del under_way[entry.key, retry]
        if entry.name == BARRIER and entry.kind is OperationKind.TIMER:
            undoing.add(_branch(entry.key))
            continue
        if entry.kind is OperationKind.CHILD:
            times = children_before[entry.key]
            operation.child = child_run_id(run.id, repeated_key(entry.key, times))
            children_before[entry.key] += entry.seq in void and ended_for_good(entry)
        yield operation
    yield from under_way.values()


def _take(operation: TimelineOperation, entry: Entry) -> None:
    if operation.started_at is not None:
        operation.started_at = min(operation.started_at, entry.started_at)
    match entry.type:
        case EntryType.STARTED:
            pass
        case EntryType.ATTEMPT:
            operation.attempts.append(_attempt(entry))
        case EntryType.DONE:
            operation.state = "done"
            operation.value = orjson.loads(entry.payload)
        case EntryType.ERROR:
            operation.state = "error"
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
    if entry.type in (EntryType.DONE, EntryType.ERROR):
        operation.ended_at, operation.entry = entry.at, entry.seq
        operation.settled = entry.attempt == 0


def _open(effect: OpenEffect) -> TimelineOperation:
    key = operation_key(effect.key)
    name = key.partition(":")[2].rpartition("#")[0]
    opened = TimelineOperation(key, effect.kind, name, "open", effect.since)
    if effect.kind is OperationKind.CHILD:
        opened.child = RunId(effect.id)
    else:
        opened.review = effect.id
    return opened


def _mark(entry: Entry) -> TimelineMark:
    struck = len(decode_retry(entry.payload).struck) if entry.type is EntryType.RETRY else 0
    return TimelineMark(entry.type, entry.name, entry.seq, entry.at, entry.key, struck)


def _struck_by(entries: Sequence[Entry]) -> dict[int, int]:
    retries = [entry for entry in entries if entry.type is EntryType.RETRY]
    return {seq: retry.seq for retry in retries for seq in decode_retry(retry.payload).struck}


def _branch(key: str) -> str:
    return key.partition(":")[0]


def _attempt(entry: Entry) -> TimelineAttempt:
    note = decode_note(entry.payload)
    took = note.call.latency if note.call is not None else entry.at - entry.started_at
    number = note.call.number if note.call is not None else entry.attempt
    return TimelineAttempt(number, entry.started_at, max(took, 0.0), note.call, note.error, note.resume_at)
