"""Seeing to it that the books do not grow for ever: the log of requests, and windows of budgets that are over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from podium.app.pace import Pace
from podium.domain.durations import seconds
from podium.domain.errors import PodiumError
from podium.storage import budgets, requests

if TYPE_CHECKING:
    from podium.ports.storage import Storage
    from podium.settings.retention import RetentionSettings

_log = logging.getLogger(__name__)
# A clock that is set back by less finds the window it was in as it left it.
_KEPT_WINDOWS = 86_400.0
_LARGEST = 500


class Bookkeeper:
    """Deletes rows of the log that are as old as `settings` say, and what was spent in windows that ended a day ago.

    It may be at work in several processes on one database. `clock` returns seconds since the epoch.
    """

    def __init__(
        self, storage: Storage, settings: RetentionSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._clock = clock
        self._pace = Pace(settings.share, most=_LARGEST)

    @property
    def longest(self) -> float:
        """The longest transaction so far, in seconds on the thread that writes, without its way to the disk."""
        return self._pace.longest

    async def work(self) -> None:
        """Go from round to round until cancelled. What goes wrong is logged, and tried again in the next round."""
        while self._settings.every:
            await asyncio.sleep(self._settings.every)
            try:
                await self.round(sweep=False)
            except PodiumError as error:
                _log.warning("the log of requests was not shortened: %s", error)

    async def round(self, *, sweep: bool = True, note: Callable[[int], Awaitable[None]] | None = None) -> int:
        """Delete what is due, and return how many rows of the log that were; `note` hears of each transaction's.

        `sweep`: look for budgets of runs that are gone too. Raises `StorageUnavailable`.
        """
        before = self._clock() - _KEPT_WINDOWS
        await self._all(partial(budgets.prune, before=before))
        if sweep:
            await self._all(partial(budgets.prune_runs, before=before))
        if self._settings.requests is None:
            return 0
        before = self._clock() - seconds(self._settings.requests)
        return await self._all(partial(requests.forget_requests, before=before), note)

    async def due(self) -> int:
        """Return how many rows of the log a round would delete now."""
        if self._settings.requests is None:
            return 0
        before = self._clock() - seconds(self._settings.requests)
        return await self._storage.read(partial(requests.count_requests, before=before))

    async def _all(
        self, delete: Callable[..., int], note: Callable[[int], Awaitable[None]] | None = None
    ) -> int:
        """Delete in transactions of a few rows each until nothing is left to delete."""
        total = 0
        while True:
            size = self._pace.size

            def timed(conn: Any, size: int = size) -> int:
                with self._pace.timed(size):
                    return delete(conn, limit=size)

            count = await self._storage.write(timed)
            if not count:
                return total
            total += count
            if note is not None:
                await note(count)
            await self._pace.pause()
