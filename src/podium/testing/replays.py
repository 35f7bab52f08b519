"""Replays beside the runs: whenever a journal has grown, the run is replayed, and what is found is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.domain.errors import StorageUnavailable
from podium.testing.replaying import Arguments, Replayer

if TYPE_CHECKING:
    from podium.domain.ids import RunId
    from podium.flow.catalog import WorkflowCatalog
    from podium.ports.journal import Journal


class Replays:
    """Replays runs in the background, one after another, in the order in which they were wanted."""

    def __init__(self, journal: Journal, workflows: WorkflowCatalog, executed: Arguments) -> None:
        self._replayer = Replayer(journal, workflows, executed)
        self._wanted: dict[RunId, None] = {}
        self._work: asyncio.Task[None] | None = None
        self._found: Exception | None = None

    def want(self, run: RunId) -> None:
        """Replay what is new in the journal of a run, soon."""
        self._wanted[run] = None
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._replay())

    async def done(self) -> None:
        """Return once all that was wanted has been replayed; raises the first thing that was found."""
        while self._work is not None and not self._work.done():
            await asyncio.wait([self._work])
        if self._found is not None:
            raise self._found

    async def close(self) -> None:
        """Replay no more."""
        self._wanted.clear()
        if self._work is not None:
            await asyncio.wait([self._work])

    async def _replay(self) -> None:
        while self._wanted:
            run = next(iter(self._wanted))
            del self._wanted[run]
            try:
                await self._replayer.check(run)
            except StorageUnavailable:
                # The database is gone, and the test hears so elsewhere.
                return
            except Exception as error:  # noqa: BLE001 - raised in the test, when it next waits
                self._found = self._found or error
