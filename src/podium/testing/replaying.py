"""Forced replay: the code of a run is run again from each prefix of its journal, and must do the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from podium.domain.errors import ErrorRecord
from podium.domain.ids import RunId
from podium.domain.journal import Entry, EntryType
from podium.domain.states import RunState
from podium.flow.results import Completed, Continued, Errored, Stopped
from podium.testing.failures import NotDeterministic
from podium.testing.tracing import Asked, Diverged, Told, replay

if TYPE_CHECKING:
    from podium.domain.runs import Run
    from podium.flow.catalog import WorkflowCatalog
    from podium.flow.workflows import Workflow
    from podium.ports.journal import Journal, LoadedRun

T = TypeVar("T")
_EACH = 64
_SPARSER = 1.25
_MARKS = frozenset({EntryType.PATCH, EntryType.RETRY, EntryType.CONTINUED})
_SHOWN = 200
_HINT = (
    "Whatever differs from one time to the next belongs into a step: clocks, random numbers, globals, files, the "
    "order of a set. Or take now(), random() and uuid() from podium."
)
Arguments = Callable[[RunId, str], Mapping[str, Any] | None]


@dataclass(slots=True)
class _Known:
    """How far a run has been replayed: up to entry `seq`, in that generation, with these marks in its journal."""

    generation: int
    marks: Sequence[int]
    seq: int
    told: Told | None = None


class Replayer:
    """Replays the runs of a database from their journals.

    Every prefix of the first 64 entries is replayed; of longer journals, prefixes that are each a quarter longer
    than the one before, so that the work stays in proportion to the journal. `executed` tells with which arguments
    an operation was executed, if that is known.
    """

    def __init__(
        self, journal: Journal, workflows: WorkflowCatalog, executed: Arguments = lambda _run, _key: None
    ) -> None:
        self._journal = journal
        self._workflows = workflows
        self._executed = executed
        self._known: dict[RunId, _Known] = {}

    async def check(self, run: RunId) -> None:
        """Replay what was added to a run's journal since the last call.

        Raises `NotDeterministic`. Let be are runs that have not begun, are blocked or ended so, or are of no known
        workflow.
        """
        loaded = await self._journal.load(run)
        if loaded is None or _ran_no_code(loaded.run):
            return
        workflow = self._workflows.find(loaded.run.workflow, loaded.run.version)
        if workflow is not None:
            await _from_no_task(partial(self._check, workflow, loaded))

    def _check(self, workflow: Workflow[Any, Any], loaded: LoadedRun) -> None:
        run, entries = loaded.run, list(loaded.entries)
        known = self._known_of(run, entries)
        if known.told is not None and known.seq == len(entries) <= _EACH:
            # It has moved without an entry: may be out of memory, so that it is rebuilt by replay itself.
            self._replayed(workflow, run, entries, known.told, known.seq)
        for seq in range(known.seq + 1, len(entries) + 1):
            if seq <= _EACH or seq >= known.seq * _SPARSER or seq == len(entries):
                known.told = self._replayed(workflow, run, entries[:seq], known.told, known.seq)
                known.seq = seq
        if known.told is not None and run.finished_at is not None:
            problem = _other_end(workflow, run, known.told)
            if problem is not None:
                raise NotDeterministic(f"{_headline(run, len(entries))}\n  {problem}\n{_HINT}")

    def _known_of(self, run: Run, entries: Sequence[Entry]) -> _Known:
        marks = [entry.seq for entry in entries if entry.type in _MARKS]
        known = self._known.get(run.id)
        if known is None or (known.generation, known.marks) != (run.generation, marks):
            # From a mark on the same entries count otherwise.
            known = self._known[run.id] = _Known(run.generation, marks, max(marks, default=1) - 1)
        return known

    def _replayed(
        self, workflow: Workflow[Any, Any], run: Run, entries: Sequence[Entry], before: Told | None, seen: int
    ) -> Told:
        try:
            told = replay(workflow, run, entries)
        except Diverged as diverged:
            raise NotDeterministic(self._of_entry(run, diverged, entries)) from None
        again = [asked for asked in told.asked if asked.after <= seen]
        for was, now in zip_longest(before.asked if before else again, again):
            if was != now:
                raise NotDeterministic(self._of_two(run, was, now, len(entries)))
        return told

    def _of_entry(self, run: Run, diverged: Diverged, entries: Sequence[Entry]) -> str:
        entry = diverged.entry
        asked = next((each for each in diverged.asked if each.key == entry.key), None)
        if asked is None:
            recorded = {each.key for each in entries}
            asked = next((each for each in diverged.asked if each.key not in recorded), None)
        elif (asked.kind, asked.fingerprint) == (entry.kind, entry.fingerprint):
            return f"{_headline(run, len(entries))}\n  {diverged}\n{_HINT}"
        arguments = self._executed(run.id, entry.key)
        was = Asked(0, entry.key, entry.kind, entry.name, entry.fingerprint, None, None, arguments)
        return self._of_two(run, was, asked, len(entries))

    def _of_two(self, run: Run, was: Asked | None, now: Asked | None, length: int) -> str:
        told = [("at first", was), ("replayed", now)]
        lines = [f"  {when}: {_shown(asked, was, now)}" for when, asked in told]
        return "\n".join([_headline(run, length), *lines, _HINT])


def _headline(run: Run, length: int) -> str:
    return (
        f"workflow {run.workflow!r} is not deterministic: replayed from the first {length} entries of its journal, "
        f"run {run.id!r} does not do the same again."
    )


def _shown(asked: Asked | None, was: Asked | None, now: Asked | None) -> str:
    if asked is None:
        return "nothing is asked for here"
    where = f", {asked.line}" if asked.line else ""
    said = f"{asked.kind} {asked.name!r} at {asked.key!r}{where}"
    other = was if asked is now else now
    if other is None or other.key != asked.key or other.fingerprint == asked.fingerprint:
        return said if asked.due is None else f"{said}, due at {asked.due}"
    if asked.arguments is None:
        return f"{said}, with other arguments ({asked.fingerprint})"
    differing = {
        name: value
        for name, value in asked.arguments.items()
        if other.arguments is None or repr(other.arguments.get(name)) != repr(value)
    }
    listed = ", ".join(f"{name}={value!r}"[:_SHOWN] for name, value in differing.items())
    return f"{said}, with {listed}"


def _ran_no_code(run: Run) -> bool:
    cancelled = run.state is RunState.CANCELLED and run.error is not None
    # A cancelled run that was blocked ends without its code, and says so.
    without = cancelled and run.error is not None and run.error.message != "the run was cancelled"
    return run.started_at is None or run.state is RunState.BLOCKED or without


def _other_end(workflow: Workflow[Any, Any], run: Run, told: Told) -> str | None:
    """Return how the end of a replay differs from how the run ended; None when it does not."""
    error = run.error or ErrorRecord("Unknown", "")
    match run.state, told.result:
        case (RunState.COMPLETED, Completed(value)):
            again = workflow.codec.encode(value)
            if again != run.output:
                return f"at first it returned {_text(run.output)}, replayed {_text(again)}"
            return None
        case (RunState.FAILED, Errored(now, _)) if now.type == error.type:
            return None
        case (RunState.FAILED, Completed() | Continued()):
            # What it returned could not be stored.
            return None
        case (RunState.CANCELLED, Stopped()):
            return None
    return f"at first it ended as {run.state}, replayed as {told.result!r}"[: 2 * _SHOWN]


def _text(data: bytes | None) -> str:
    return (data or b"null").decode("utf-8", "replace")[:_SHOWN]


async def _from_no_task(function: Callable[[], T]) -> T:
    """Call `function` from a plain callback of the event loop: workflow code may not run inside a task of it."""
    done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            done.set_result(function())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            done.set_exception(error)

    asyncio.get_running_loop().call_soon(call)
    return await done
