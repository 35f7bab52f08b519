"""`RunHandle`: one run, seen from the process that works on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar, assert_never

from podium.domain.errors import ErrorRecord, RunBlocked, RunCancelled, RunFailed
from podium.domain.ids import RunId
from podium.domain.states import RunState

if TYPE_CHECKING:
    from podium.app.runs import Runs
    from podium.app.timeline import Timeline
    from podium.domain.happenings import RunMoved
    from podium.domain.runs import Run
    from podium.engines.embedded.engine import EmbeddedEngine
    from podium.flow.workflows import Workflow

R = TypeVar("R")


class RunHandle(Generic[R]):
    """A run that was started or looked up through `Podium`."""

    def __init__(self, run_id: RunId, workflow: Workflow[Any, R], runs: Runs, engine: EmbeddedEngine) -> None:
        self.id = run_id
        self._workflow = workflow
        self._runs = runs
        self._engine = engine

    async def status(self) -> RunState:
        """Return the run's state."""
        return (await self._runs.get(self.id)).state

    async def result(self, timeout: float | None = None) -> R:
        """Wait for the run to end and return what the workflow returned.

        Raises `RunFailed`, `RunCancelled` or `RunBlocked` when it ended otherwise, and `TimeoutError` when
        it has not ended within `timeout` seconds (the run goes on).
        """
        end = self._engine.end_of(self.id)
        try:
            if not self._engine.holds(self.id):
                run = await self._runs.get(self.id)
                if run.state in _ENDED:
                    return self._result_of(run)
            async with asyncio.timeout(timeout):
                return self._result_of(await end)
        finally:
            self._engine.forget_end(self.id, end)

    async def cancel(self) -> None:
        """Ask for the run to be cancelled; its clean-up runs first. Raises `StateConflict` when it has ended."""
        await self._runs.cancel(self.id)
        self._engine.look()

    async def timeline(self) -> Timeline:
        """Return what happened in the run so far."""
        return await self._runs.timeline(self.id)

    def _result_of(self, end: Run | RunMoved) -> R:
        error = end.error or ErrorRecord("Unknown", "no reason was recorded")
        hint = f"See `podium runs show {self.id}`."
        match end.state:
            case RunState.COMPLETED:
                result: R = self._workflow.codec.decode(end.output or b"null")
                return result
            case RunState.FAILED:
                raise RunFailed(f"run {self.id!r} failed: {error.type}: {error.message} {hint}", error)
            case RunState.CANCELLED:
                raise RunCancelled(f"run {self.id!r} was cancelled. {hint}")
            case RunState.BLOCKED:
                raise RunBlocked(f"run {self.id!r} is blocked: {error.message} {hint}")
            case RunState.PENDING | RunState.RUNNING | RunState.WAITING | RunState.PAUSED:
                raise RunBlocked(f"run {self.id!r} moved to {end.state} while its result was read. {hint}")
            case _:
                assert_never(end.state)


_ENDED = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.BLOCKED})
