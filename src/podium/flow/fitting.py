"""Whether a run that is under way fits the code as it is now, found out by replaying it away from any engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from podium.domain.errors import PodiumError, StorageUnavailable
from podium.domain.history import history_of
from podium.domain.ids import operation_key
from podium.domain.operations import OperationKind
from podium.domain.states import RunState
from podium.flow.execution import CodeChanged, Undecodable
from podium.flow.failures import message_of
from podium.flow.replanning import Replay, plan_retry
from podium.flow.results import Errored

if TYPE_CHECKING:
    from podium.domain.journal import Entry
    from podium.domain.operations import Operation
    from podium.domain.runs import Run
    from podium.flow.workflows import Workflow

_AT_REST = frozenset({RunState.WAITING, RunState.PAUSED, RunState.BLOCKED})
_SHOWN = 4


class MisfitKind(StrEnum):
    """In what way a run does not fit the code.

    `changed`: the code asks for something else than the journal records, so the run would be blocked. `value`: a
    recorded value or its input does not fit its type any more, which blocks it too. `unreadable`: its journal cannot
    be read. `version`: its version of the workflow is not there, so nothing would work on it. `orphan`: something is
    open for it that the code does not ask for. `fails`: the code would end with an error at once. `endless`: the code
    did not come to a rest in time.
    """

    CHANGED = "changed"
    VALUE = "value"
    UNREADABLE = "unreadable"
    VERSION = "version"
    ORPHAN = "orphan"
    FAILS = "fails"
    ENDLESS = "endless"


@dataclass(frozen=True, slots=True)
class Misfit:
    """How a run does not fit.

    `key` and `entry` say where in the journal (`entry` is the number of one); `recorded` what is there or is open,
    `asks` what the code does instead, `where` the source lines on which it stands (`desk.py:41`), as far as they
    are known. `about` is the same for runs that do not fit for the same reason.
    """

    kind: MisfitKind
    recorded: str
    asks: str = ""
    key: str = ""
    entry: int | None = None
    where: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something outside a run's journal that belongs to the operation at a key: a review or a child run.

    `key` may name a repeated effect, see `repeated_key`. `has_come` says that its outcome is in the run's inbox.
    """

    kind: OperationKind
    key: str
    id: str
    has_come: bool = False


def misfit_of(
    workflow: Workflow[Any, Any], run: Run, journal: Sequence[Entry], effects: Iterable[Effect] = ()
) -> Misfit | None:
    """Return how `run` does not fit `workflow`, or None when it goes on as if nothing had changed.

    `journal` is that of its present generation, `effects` what is open for it. A failed run fits when it can be
    retried. Must not be called from within a task of the running event loop.
    """
    try:
        history = history_of(journal)
        if run.state is RunState.FAILED:
            plan_retry(workflow, run, history)
            return None
        with closing(Replay(workflow, run, history)) as replay:
            for entry in history.entries:
                replay.give(entry)
            return _orphan(replay, run, effects) or _failure(replay, run)
    except CodeChanged as change:
        return _changed(change)
    except Undecodable as lost:
        recorded = f"the value of {lost.entry.kind} {lost.entry.key}"
        about = f"{lost.entry.kind} {lost.entry.name}"
        return Misfit(MisfitKind.VALUE, recorded, lost.problem, lost.entry.key, lost.entry.seq, about=about)
    except StorageUnavailable as lost:
        return Misfit(MisfitKind.UNREADABLE, message_of(lost))
    except PodiumError as refusal:
        return Misfit(MisfitKind.VALUE, "the input", message_of(refusal), about=message_of(refusal))


def without_version(run: Run) -> Misfit:
    """Return the misfit of a run whose version of its workflow is not among those that there are."""
    version = f"version {run.version!a}" if run.version else "the version without a name"
    return Misfit(MisfitKind.VERSION, f"{version} of workflow {run.workflow!a}", about=run.version)


def _changed(change: CodeChanged) -> Misfit:
    entry, asked, where = change.entry, change.asked, tuple(change.where[:_SHOWN])
    recorded = f"{entry.kind} {entry.key}"
    if change.differs:
        (operation,) = asked
        asks = f"{_named(operation)} with other {change.differs}"
        if change.differs == "arguments":
            recorded += f" (arguments {entry.fingerprint})"
            asks += f" ({operation.intent.fingerprint})"
    else:
        more = [f"{len(asked) - _SHOWN} more"] if len(asked) > _SHOWN else []
        asks = ", ".join([*map(_named, asked[:_SHOWN]), *more]) or "nothing more: it has ended"
    names = sorted({f"{operation.intent.kind} {operation.intent.name}" for operation in asked})
    about = f"{entry.kind} {entry.name}: {', '.join(names[:_SHOWN])} {change.differs}"
    return Misfit(MisfitKind.CHANGED, recorded, asks, entry.key, entry.seq, where, about)


def _orphan(replay: Replay, run: Run, effects: Iterable[Effect]) -> Misfit | None:
    for effect in effects:
        key = operation_key(effect.key)
        # What an earlier generation left behind is no concern of this one.
        if key in replay.asked_after or key.partition(":")[0].partition(".")[0] != str(run.generation):
            continue
        is_review = effect.kind is OperationKind.REVIEW
        outcome = "the decision of " if is_review else "the end of "
        recorded = f"{outcome if effect.has_come else ''}{'review' if is_review else 'child run'} {effect.id}"
        where = tuple(replay.execution.standing()[:_SHOWN])
        name = key.partition(":")[2].rpartition("#")[0]
        return Misfit(MisfitKind.ORPHAN, recorded, "", key, None, where, f"{effect.kind} {name}")
    return None


def _failure(replay: Replay, run: Run) -> Misfit | None:
    result = replay.execution.result
    if not isinstance(result, Errored) or run.state not in _AT_REST:
        # One that is running may have come to this very end already.
        return None
    error = result.error
    where = () if error.where is None else (error.where,)
    said = f"{error.type}: {error.message}"
    return Misfit(MisfitKind.FAILS, f"it is {run.state}", said, where=where, about=error.type)


def _named(operation: Operation) -> str:
    return f"{operation.intent.kind} {operation.key}"
