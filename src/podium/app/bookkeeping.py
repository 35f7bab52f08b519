"""Seeing to it that the books do not grow for ever: the log of requests, and rows that nothing asks for any more.

Those are windows of budgets that have ended, and keys of events emitted long ago.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from podium.app.pace import Pace
from podium.app.rounds import Round
from podium.domain.durations import seconds
from podium.domain.errors import PodiumError
from podium.storage import forgetting, requests

if TYPE_CHECKING:
    from podium.ports.storage import Storage
    from podium.settings.retention import RetentionSettings

_log = logging.getLogger(__name__)
_PAGE = 1000
_FORGET_EVERY = 3600.0
# A clock that is set back by less than this finds its windows as it left them.
_WINDOWS_KEPT = 24 * 3600.0


class Bookkeeper:
    """Deletes rows of the log that are as old as `settings` say, and forgets ended windows and old keys.

    It may be at work in several processes on one database. `note` hears of each transaction's part of a round.
    `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        storage: Storage,
        settings: RetentionSettings,
        *,
        note: Callable[[Round], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._note = note
        self._clock = clock
        self._pace = Pace(settings.share)
        self._forgot_at = float("-inf")

    @property
    def longest(self) -> float:
        """The longest transaction so far, in seconds on the thread that writes, without its way to the disk."""
        return self._pace.longest

    async def work(self) -> None:
        """Go from round to round until cancelled. What goes wrong is logged, and tried again in the next round."""
        while self._settings.every:
            await asyncio.sleep(self._settings.every)
            try:
                await self.round_when_due()
            except PodiumError as error:
                _log.warning("old rows of the books were not removed: %s", error)
            except Exception:  # noqa: BLE001 - whatever it was, serving is worth more than short books
                _log.exception("old rows of the books were not removed; tried again in the next round")

    async def round_when_due(self) -> Round:
        """Shorten the log, and forget the rest if that was last done an hour ago. Raises `StorageUnavailable`."""
        done = await self._shorten_log()
        if self._clock() >= self._forgot_at + _FORGET_EVERY:
            done += await self._forget()
            self._forgot_at = self._clock()
        return done

    async def round(self) -> Round:
        """Delete and forget all that is due, and return what that was. Raises `StorageUnavailable`."""
        return await self._shorten_log() + await self._forget()

    async def due(self) -> int:
        """Return how many rows of the log a round would delete now."""
        if self._settings.requests is None:
            return 0
        before = self._clock() - seconds(self._settings.requests)
        return await self._storage.read(partial(requests.count_requests, before=before))

    async def _shorten_log(self) -> Round:
        done = Round()
        if self._settings.requests is None:
            return done
        before = self._clock() - seconds(self._settings.requests)
        while True:
            size = self._pace.size
            count = await self._write(partial(requests.forget_requests, before=before, limit=size), size)
            if not count:
                return done
            done += await self._noted(Round(requests=count))

    async def _forget(self) -> Round:
        now, age = self._clock(), self._settings.keys_age
        windows = forgetting.ended_windows, forgetting.forget_windows
        done = await self._forget_those(*windows, now - _WINDOWS_KEPT)
        if age is not None:
            done += await self._forget_those(forgetting.old_keys, forgetting.forget_keys, now - age)
        return done

    async def _forget_those(
        self,
        find: Callable[..., Sequence[forgetting.Key]],
        forget: Callable[..., int],
        before: float,
    ) -> Round:
        done = Round()
        after: forgetting.Key | None = None
        while page := await self._storage.read(partial(find, before=before, after=after, limit=_PAGE)):
            after, rest = page[-1], list(page)
            while rest:
                some = rest[: self._pace.size]
                del rest[: len(some)]
                count = await self._write(partial(forget, keys=some, before=before), len(some))
                done += await self._noted(Round(forgotten=count))
        return done

    async def _write(self, change: Callable[[Any], int], size: int) -> int:
        def timed(conn: Any) -> int:
            with self._pace.timed(size):
                return change(conn)

        return await self._storage.write(timed)

    async def _noted(self, more: Round) -> Round:
        if self._note is not None:
            self._note(more)
        await self._pace.pause()
        return more
