"""What of a journal still counts when a failed run is tried again, or when another run is to share its beginning."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from podium.domain.history import History
from podium.domain.ids import digest
from podium.domain.journal import DELIVERED, Entry, EntryType, Signal
from podium.domain.operations import AskPerson, StartChild
from podium.flow.compensation import BARRIER
from podium.flow.execution import CodeChanged, Execution
from podium.flow.patches import Patches
from podium.flow.results import Errored

if TYPE_CHECKING:
    from podium.domain.runs import Run
    from podium.flow.workflows import Workflow


E = TypeVar("E", bound=Execution)


def execution_of(run: Run, history: History, began_at: float, *, is_live: bool = False) -> Execution:
    """Return the execution of `run`, to be given the entries of `history`; see `execution_as`."""
    return execution_as(Execution, run, history, began_at, is_live=is_live)


def execution_as(kind: type[E], run: Run, history: History, began_at: float, *, is_live: bool = False) -> E:
    """Return an execution, of that kind, of `run`, to be given the entries of `history`.

    `began_at` (seconds since the epoch) counts unless the history knows better; `is_live` says that the code
    has not run before.
    """
    began = began_at if history.began_at is None else history.began_at
    seed = run.seed if run.generation == 0 else int(digest(str(run.seed), str(run.generation))[:15], 16)
    patches = Patches(history.patches, is_live=is_live)
    return kind(run.id, seed, began, generation=run.generation, patches=patches)


class Replay:
    """A run's code, given journal entries away from any engine: nothing is begun, nothing is recorded.

    `asked_after` are the operations that the code has asked for, by key, each with the number of the entry after
    which it did; `effects` the keys of the reviews and child runs that end with the run; `withdrawn`
    the keys of those that it gave up.
    """

    def __init__(self, workflow: Workflow[Any, Any], run: Run, history: History) -> None:
        began = run.started_at or run.created_at
        self.execution = execution_of(run, history, began, is_live=run.started_at is None)
        self.asked_after: dict[str, int] = {}
        self.effects: list[str] = []
        self.withdrawn: set[str] = set()
        self._last = 0
        self.execution.start(partial(workflow.call, run.input))
        self._take()

    def close(self) -> None:
        """Drop the code."""
        self.execution.close()

    def asks_for(self, entry: Entry) -> bool:
        """Return whether the code has asked for what `entry` is about, and that has no outcome yet.

        Raises `CodeChanged` when it asks for something else at that key.
        """
        if entry.type is EntryType.SIGNAL:
            return True
        if not self.execution.has_asked(entry.key):
            return False
        self.execution.expects(entry)
        return True

    def give(self, entry: Entry) -> None:
        """Deliver `entry` if it is of a kind that is delivered; raises `CodeChanged` and `Undecodable`."""
        if entry.type not in DELIVERED or self.execution.result is not None:
            if entry.type is not EntryType.SIGNAL:
                self.execution.expects(entry)
            return
        self.execution.deliver(entry)
        self._last = entry.seq
        self._take()

    def _take(self) -> None:
        for operation in self.execution.take_requests():
            self.asked_after[operation.key] = self._last
            if _ends_with_its_run(operation.intent.request):
                self.effects.append(operation.key)
        self.withdrawn.update(self.execution.take_withdrawn())


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """The numbers of the entries that do not count any more, and which of them are taken again when asked for.

    `unanswered` are the keys of the reviews and child runs that ended with the failure, before they had an outcome.
    """

    struck: tuple[int, ...]
    reusable: tuple[int, ...]
    unanswered: tuple[str, ...]


def plan_retry(workflow: Workflow[Any, Any], run: Run, history: History) -> RetryPlan:
    """Return how a failed run goes on from what failed: only that, and what was undone, is done again.

    Raises `CodeChanged` when the code no longer fits what came before the failure.
    """
    failure = _failure(workflow, run, history)
    fatal, asked_after = failure.fatal, failure.asked_after
    void = fatal | {
        entry.seq for entry in history.entries if entry.key in failure.undone and entry.type is EntryType.DONE
    }
    begin_anew = {entry.key for entry in history.entries if entry.seq in fatal}
    beginning = _kept(workflow, run, history, history.entries, void, begin_anew)
    kept = {entry.seq for entry in beginning.entries}
    struck = [entry for entry in history.entries if entry.seq not in kept]
    reusable = [
        entry.seq
        for entry in struck
        if entry.type is EntryType.DONE
        and entry.seq not in void
        and asked_after.get(entry.key, math.inf) < failure.at
    ]
    # Those that the code gives up this time too are not opened again.
    answered = {*beginning.withdrawn} | {entry.key for entry in history.entries if entry.type in DELIVERED}
    unanswered = [key for key in failure.effects if key not in answered]
    return RetryPlan(tuple(entry.seq for entry in struck), tuple(reusable), tuple(unanswered))


def plan_fork(
    workflow: Workflow[Any, Any], run: Run, history: History, beginning: Sequence[Entry]
) -> Sequence[Entry]:
    """Return those of the entries `beginning`, the first of a run's, that its code asks for when given only them.

    Raises `CodeChanged` when the code does not fit them, `Undecodable` for a value that does not fit its type.
    """
    return _kept(workflow, run, history, beginning, frozenset(), frozenset()).entries


class _Failure(NamedTuple):
    """The entries that a run failed of, the keys that were undone, after which entry, and what was asked for when."""

    fatal: frozenset[int]
    undone: Collection[str]
    at: float
    asked_after: Mapping[str, int]
    effects: Sequence[str]


class _Beginning(NamedTuple):
    """The entries that the code still asks for, and the keys of what it gave up on the way."""

    entries: Sequence[Entry]
    withdrawn: Collection[str]


def _failure(workflow: Workflow[Any, Any], run: Run, history: History) -> _Failure:
    timeouts = {
        entry.seq
        for entry in history.entries
        if entry.type is EntryType.SIGNAL and entry.name == Signal.TIMEOUT
    }
    with closing(Replay(workflow, run, history)) as replay:
        # Where the code is another by now, it goes on from there, and nothing of it has failed.
        with contextlib.suppress(CodeChanged):
            for entry in history.entries:
                replay.give(entry)
        result, undone = replay.execution.result, replay.execution.undone
    fatal = (result.entries if isinstance(result, Errored) else frozenset()) | timeouts
    first = min(fatal, default=math.inf)
    undoing = [after for key, after in replay.asked_after.items() if f":{BARRIER}#" in key]
    at = min([first, *(after + 0.5 for after in undoing)])
    return _Failure(fatal, undone, at, replay.asked_after, replay.effects)


def _kept(
    workflow: Workflow[Any, Any],
    run: Run,
    history: History,
    entries: Sequence[Entry],
    void: Collection[int],
    begin_anew: Collection[str],
) -> _Beginning:
    kept = []
    with closing(Replay(workflow, run, history)) as replay:
        for entry in entries:
            if entry.seq in void or not replay.asks_for(entry):
                continue
            if entry.key in begin_anew and entry.kind is not None and entry.type not in DELIVERED:
                # Its earlier attempts do not count against it.
                continue
            replay.give(entry)
            kept.append(entry)
        return _Beginning(kept, frozenset(replay.withdrawn))


def _ends_with_its_run(request: object) -> bool:
    return isinstance(request, AskPerson) or (isinstance(request, StartChild) and not request.outlives)
