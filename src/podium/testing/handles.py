"""The handle of a run under a harness: while its result is waited for, time moves by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from podium.app.handles import RunHandle
from podium.domain.errors import StateConflict

if TYPE_CHECKING:
    from podium.testing.harness import Harness

R = TypeVar("R")


class HarnessRun(RunHandle[R]):
    """A `RunHandle` whose `result()` skips time, fails when nothing can move, and tells of what replays found."""

    _harness: Harness

    async def result(self, timeout: float | None = None) -> R:
        """See `RunHandle.result`; `timeout` is in seconds of the test's own time.

        Raises `NotDeterministic`, `ExecutedAgain` and `Stuck` too, see `Harness`.
        """
        async with asyncio.timeout(timeout):
            await self._harness.ended(self.id)
            return await super().result()

    async def send_event(self, name: str, payload: Any = None, *, dedupe: str | None = None) -> bool:
        """See `RunHandle.send_event`; once more after a crash, to a run that has ended by then, it is not new."""
        try:
            return await super().send_event(name, payload, dedupe=dedupe)
        except StateConflict:
            if self._harness.is_second_life and dedupe is not None:
                return False
            raise

    async def fork(
        self, at: str | None = None, replace: Mapping[str, Any] | None = None, *, run_id: str | None = None
    ) -> RunHandle[R]:
        """See `RunHandle.fork`."""
        forked = await super().fork(at, replace, run_id=run_id)
        return await self._harness.get(forked.id)
