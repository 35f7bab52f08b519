"""What is executed for a run in a test: noted, done by fakes where there are any, and never twice."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from podium.domain.history import decode_retry
from podium.domain.journal import Entry, EntryType
from podium.flow.steps import Step
from podium.testing.failures import ExecutedAgain

if TYPE_CHECKING:
    from podium.domain.ids import RunId
    from podium.domain.operations import Execute
    from podium.ports.execution import AttemptContext, Executor


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of a step or prompt: the run, journal key and name, its arguments by name, and which attempt."""

    run: RunId
    key: str
    name: str
    arguments: Mapping[str, Any]
    attempt: int


class Calls:
    """Every attempt in the life of a harness, the fakes of its steps, and what had completed before."""

    def __init__(self, fakes: Mapping[Step[Any, Any], Callable[..., Any]]) -> None:
        self._fakes = {step.name: fake for step, fake in fakes.items()}
        self._completed: dict[RunId, dict[str, int]] = {}
        self.all: list[Call] = []
        self.again: ExecutedAgain | None = None

    def replace(self, step: Step[Any, Any], fake: Callable[..., Any]) -> None:
        """Let `fake` do what `step` does from now on."""
        self._fakes[step.name] = fake

    def over(self, executor: Executor) -> Executor:
        """Return an executor that does what `executor` does, under the eyes of this object."""
        return _Watched(executor, self)

    def go_on_after(self, earlier: Calls) -> None:
        """Hold to what completed in an earlier harness, so that nothing that was acknowledged may be lost."""
        for run, completed in earlier._completed.items():
            self._completed.setdefault(run, {}).update(completed)

    def note(self, entries: Iterable[Entry]) -> None:
        """Take note of what is in the journal now."""
        for entry in entries:
            completed = self._completed.setdefault(entry.run, {})
            if entry.type is EntryType.DONE:
                completed[entry.key] = entry.seq
            elif entry.type is EntryType.RETRY:
                struck = set(decode_retry(entry.payload).struck)
                self._completed[entry.run] = {k: seq for k, seq in completed.items() if seq not in struck}
            elif entry.type is EntryType.CONTINUED:
                completed.clear()

    def arguments_at(self, run: RunId, key: str) -> Mapping[str, Any] | None:
        """Return what was last executed at a journal key with which arguments, if this harness has seen it."""
        found = (call.arguments for call in reversed(self.all) if (call.run, call.key) == (run, key))
        return next(found, None)

    def take(self, request: Execute, context: AttemptContext) -> Execute:
        """Note that an attempt begins, and return what is to be done."""
        name = request.target.name
        if context.key in self._completed.get(context.run, ()):
            self.again = self.again or ExecutedAgain(
                f"{name!r} ({context.key}) of run {context.run!r} was executed again although it had completed."
            )
        self.all.append(Call(context.run, context.key, name, dict(request.arguments), context.attempt))
        fake = self._fakes.get(name) if isinstance(request.target, Step) else None
        return request if fake is None else replace(request, target=_faked(request.target, fake))


class _Watched:
    def __init__(self, executor: Executor, calls: Calls) -> None:
        self._executor = executor
        self._calls = calls

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        return await self._executor.execute(self._calls.take(request, context), context)


def _faked(step: Step[Any, Any], fake: Callable[..., Any]) -> Step[Any, Any]:
    other = copy.copy(step)
    other.function = fake
    other.is_async = inspect.iscoroutinefunction(fake) or inspect.iscoroutinefunction(type(fake).__call__)
    return other
