"""`RunHandle`: one run, seen from the process that works on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar, assert_never

from podium.domain.errors import ErrorRecord, RunBlocked, RunCancelled, RunFailed
from podium.domain.ids import RunId
from podium.domain.states import RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from podium.app.runs import Runs
    from podium.app.timeline import Timeline
    from podium.domain.chunks import Chunk
    from podium.domain.happenings import RunMoved
    from podium.domain.runs import Run
    from podium.engines.embedded.engine import EmbeddedEngine
    from podium.flow.workflows import Workflow

    Fork = Callable[[RunId, str | None, Mapping[str, Any], str | None], Awaitable[RunId]]

R = TypeVar("R")


class RunHandle(Generic[R]):
    """A run that was started or looked up through `Podium`."""

    def __init__(
        self,
        run_id: RunId,
        workflow: Workflow[Any, R],
        runs: Runs,
        engine: EmbeddedEngine,
        fork: Fork,
        stream: Callable[[RunId, int], AsyncIterator[Chunk]],
    ) -> None:
        self.id = run_id
        self._workflow = workflow
        self._runs = runs
        self._engine = engine
        self._fork = fork
        self._stream = stream

    async def status(self) -> RunState:
        """Return the run's state."""
        return (await self._runs.get(self.id)).state

    async def result(self, timeout: float | None = None) -> R:
        """Wait for the run to end and return what the workflow returned.

        Raises `RunFailed`, `RunCancelled` or `RunBlocked` when it ended otherwise, and `TimeoutError` when
        it has not ended within `timeout` seconds (the run goes on).
        """
        end = self._engine.waiters.end_of(self.id)
        try:
            if not self._engine.holds(self.id):
                run = await self._runs.get(self.id)
                if run.state in _ENDED:
                    return self._result_of(run)
            async with asyncio.timeout(timeout):
                return self._result_of(await end)
        finally:
            self._engine.waiters.forget(self.id, end)

    async def cancel(self) -> None:
        """Ask for the run to be cancelled; its clean-up runs first. Raises `StateConflict` when it has ended."""
        await self._runs.cancel(self.id)
        self._engine.look()

    async def pause(self) -> None:
        """Ask for the run to be paused: attempts under way end, nothing more is begun. See `Runs.pause`."""
        await self._runs.pause(self.id)
        self._engine.look()

    async def resume(self) -> None:
        """Ask for the paused run to go on. Raises `StateConflict` when it is not paused."""
        await self._runs.resume(self.id)
        self._engine.look()

    async def retry(self) -> None:
        """Let the failed run go on from what failed, or try the blocked one with the code as it is.

        Returns once it has moved. Raises `StateConflict` when the run is neither failed nor blocked.
        """
        moved = self._engine.waiters.beginning_of(self.id)
        try:
            await self._runs.retry(self.id)
            self._engine.look()
            # Until it has moved, whoever asks for its result would be given the failure.
            await moved
        finally:
            self._engine.waiters.forget(self.id, moved)

    async def fork(
        self, at: str | None = None, replace: Mapping[str, Any] | None = None, *, run_id: str | None = None
    ) -> RunHandle[R]:
        """Start a run that shares this one's beginning, and return its handle.

        `at`: the journal key of the operation from which everything is done anew. `replace`: other values, by
        journal key, for operations that are shared; without `at`, what follows the first of them is done anew.
        `run_id` names the new run. Raises `InvalidInput` for keys that the run has not recorded or values that
        do not fit.
        """
        forked = await self._fork(self.id, at, replace or {}, run_id)
        return RunHandle(forked, self._workflow, self._runs, self._engine, self._fork, self._stream)

    async def send_event(self, name: str, payload: Any = None, *, dedupe: str | None = None) -> bool:
        """Send an event to the run; returns whether it was new. See `Runs.send_event`."""
        is_new = await self._runs.send_event(self.id, name, payload, dedupe=dedupe)
        self._engine.look()
        return is_new

    def stream(self, after: int = 0) -> AsyncIterator[Chunk]:
        """Yield what the run publishes, from the beginning or after a `Chunk.position`, until it has ended."""
        return self._stream(self.id, after)

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
