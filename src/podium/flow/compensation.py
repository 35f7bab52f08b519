"""Compensation: completed steps are undone in reverse order when what they belong to fails or is cancelled.

The pattern is that of sagas (H. Garcia-Molina and K. Salem, "Sagas", 1987).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from podium.domain.errors import CompensationFailed, ContinueAsNew
from podium.domain.operations import Codec, Intent, OperationKind, WaitUntil
from podium.domain.values import TypedCodec
from podium.flow.failures import message_of
from podium.ports.run import CurrentRun

BARRIER = "compensate"
"""The name of the operation that is awaited before anything is undone."""

_NOTHING = TypedCodec(None, "a timer")


@dataclass(frozen=True, slots=True)
class Undoable:
    """A completed step that can be undone: its journal key, its stored result, and how."""

    key: str
    payload: bytes
    codec: Codec
    arguments: Mapping[str, Any]
    undo: Callable[[Any, Mapping[str, Any]], Coroutine[Any, Any, Any]]


class Scope:
    """The steps that are undone together: those of a transaction, or of the whole run (without `parent`)."""

    def __init__(self, parent: Scope | None = None) -> None:
        self._parent = parent
        self._completed: list[Undoable] = []
        self._closed = False
        self.is_used = False
        self.undone: list[str] = []
        """The keys of the steps that have been undone, in this scope and those within it."""

    def asked(self) -> None:
        """Take note that a step which can be undone has been asked for."""
        self.is_used = True
        if self._parent is not None:
            self._parent.asked()

    def completed(self, step: Undoable) -> None:
        """Take note that such a step has completed; after the scope has been left, its parent does."""
        if self._closed and self._parent is not None:
            self._parent.completed(step)
        else:
            self._completed.append(step)

    def hand_over(self) -> None:
        """Leave the scope: from now on its steps belong to its parent."""
        self._closed = True
        if self._parent is not None:
            for step in self._completed:
                self._parent.completed(step)
            self._completed.clear()

    async def undo(self, run: CurrentRun, cause: BaseException) -> None:
        """Undo the completed steps, the last first, whatever is cancelled meanwhile.

        Raises `CompensationFailed` from `cause` when some could not be undone; all are tried.
        """
        if not self.is_used:
            return
        undoing = asyncio.ensure_future(self._undo_all(run))
        interrupted = False
        while not undoing.done():
            try:
                await asyncio.shield(undoing)
            except asyncio.CancelledError:
                interrupted = True
        self._closed = True
        if problems := undoing.result():
            raise CompensationFailed(
                f"{'; '.join(problems)}. This was to be undone because of {type(cause).__name__}: {message_of(cause)}. "
                "Undo it by hand."
            ) from cause
        if interrupted and not isinstance(cause, asyncio.CancelledError):
            raise asyncio.CancelledError

    def has_undone(self, key: str) -> None:
        """Take note that the step at `key` has been undone."""
        self.undone.append(key)
        if self._parent is not None:
            self._parent.has_undone(key)

    async def _undo_all(self, run: CurrentRun) -> list[str]:
        # Outcomes that were recorded together with the one that ended the work are delivered first.
        moment = WaitUntil(run.now(), run.now())
        await run.perform(Intent(OperationKind.TIMER, BARRIER, "", moment, _NOTHING))
        problems = []
        while self._completed:
            step = self._completed.pop()
            try:
                await step.undo(step.codec.decode(step.payload), step.arguments)
                self.has_undone(step.key)
            except Exception as error:  # noqa: BLE001 - the others are to be undone all the same
                problems.append(f"{step.key} could not be undone: {message_of(error)}")
        return problems


current_scope: ContextVar[Scope] = ContextVar("podium_compensation_scope")
"""Where steps that can be undone are noted. Only ever set inside a deterministic loop's tasks."""


async def compensated(run: CurrentRun, scope: Scope, code: Coroutine[Any, Any, Any]) -> Any:
    """Run a workflow's code; when it fails or is cancelled, undo what it has done within `scope`."""
    try:
        return await code
    except ContinueAsNew:
        raise
    except (Exception, asyncio.CancelledError) as cause:
        await scope.undo(run, cause)
        raise
