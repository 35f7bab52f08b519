"""A replay that remembers where in the code each operation was asked for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from podium.domain.history import history_of
from podium.domain.journal import DELIVERED, Entry, EntryType
from podium.domain.operations import Execute, Operation, OperationKind, WaitUntil
from podium.flow.execution import CodeChanged, Execution, Undecodable
from podium.flow.loop import DeterministicLoop
from podium.flow.replanning import execution_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.domain.operations import Intent
    from podium.domain.runs import Run
    from podium.flow.results import Result
    from podium.flow.workflows import Workflow

_PACKAGE = str(Path(__file__).parents[1])
_LOOP: CodeType = DeterministicLoop.drain.__code__


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation that the code asked for, once it had been given the entries up to number `after`.

    `line` is where, as `FILE.py:LINE`, if that is known; `arguments` are those of a step or prompt.
    """

    after: int
    key: str
    kind: OperationKind | None
    name: str
    fingerprint: str
    due: float | None
    line: str | None = field(default=None, compare=False)
    arguments: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Told:
    """All that can be seen of a replay: what was asked for, in order, and the result; None when it goes on."""

    asked: Sequence[Asked]
    result: Result | None


class Diverged(Exception):
    """The code did not ask for what `entry` records; `asked` is all that it asked for."""

    def __init__(self, entry: Entry, asked: Sequence[Asked], reason: str) -> None:
        super().__init__(reason)
        self.entry = entry
        self.asked = asked


def replay(workflow: Workflow[Any, Any], run: Run, entries: Sequence[Entry]) -> Told:
    """Run the code of `run` from its beginning, given `entries`; to be called from no task.

    Raises `Diverged` when it does not ask for what they record, and what `Execution.start` raises.
    """
    history = history_of(entries)
    execution = execution_as(TracedExecution, run, history, run.started_at or run.created_at)
    asked: list[Asked] = []
    with closing(execution):
        execution.start(partial(workflow.call, run.input))
        asked += execution.take_asked(0)
        for entry in history.entries:
            try:
                if entry.type in DELIVERED and execution.result is None:
                    execution.deliver(entry)
                    asked += execution.take_asked(entry.seq)
                elif entry.type is not EntryType.SIGNAL:
                    execution.expects(entry)
            except (CodeChanged, Undecodable) as error:
                raise Diverged(entry, asked, str(error)) from error
        return Told(asked, execution.result)


class TracedExecution(Execution):
    """An execution that notes the line of each request."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lines: dict[str, str] = {}

    def take_asked(self, after: int) -> list[Asked]:
        """Return, once, what was asked for since the last call, when the entries up to `after` had been given."""
        self.take_withdrawn()
        return [self._asked_for(operation, after) for operation in self.take_requests()]

    def ask(self, intent: Intent) -> tuple[str, asyncio.Future[Any]]:
        """See `Execution.ask`."""
        key, outcome = super().ask(intent)
        self._note(key)
        return key, outcome

    def start_timer(self, handle: asyncio.TimerHandle) -> None:
        """See `Execution.start_timer`."""
        super().start_timer(handle)
        key = self._timers.get(id(handle))
        if key is not None:
            self._note(key)

    def _note(self, key: str) -> None:
        line = _line_above(sys._getframe(2)) or self._line_of_main()  # noqa: SLF001 - only the stack knows
        if line is not None:
            self._lines[key] = line

    def _line_of_main(self) -> str | None:
        """Where the workflow waits while a task of it asks: a task has no caller."""
        line, waiting = None, self._main.get_coro() if self._main is not None else None
        while waiting is not None:
            frame = getattr(waiting, "cr_frame", None)
            line = (_line(frame) if frame is not None else None) or line
            waiting = getattr(waiting, "cr_await", None)
        return line

    def _asked_for(self, operation: Operation, after: int) -> Asked:
        intent = operation.intent
        request = intent.request
        return Asked(
            after,
            operation.key,
            intent.kind,
            intent.name,
            intent.fingerprint,
            request.due if isinstance(request, WaitUntil) else None,
            self._lines.pop(operation.key, None),
            request.arguments if isinstance(request, Execute) else None,
        )


def _line_above(frame: FrameType | None) -> str | None:
    while frame is not None and frame.f_code is not _LOOP:
        line = _line(frame)
        if line is not None:
            return line
        frame = frame.f_back
    return None


def _line(frame: FrameType) -> str | None:
    file = frame.f_code.co_filename
    if file.startswith((_PACKAGE, "<")) or "/asyncio/" in file:
        return None
    return f"{Path(file).name}:{frame.f_lineno}"
