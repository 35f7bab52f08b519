"""Work that may wait a moment, so that one time does for many."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from podium.domain.errors import PodiumError

_log = logging.getLogger(__name__)


class Later:
    """Does `work` some time after it was asked for, `after` seconds from the first wish: once for all wishes until then.

    What goes wrong is logged; `what` says in that what was not done.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], after: float, what: str) -> None:
        self._work = work
        self._after = after
        self._what = what
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._closed = False
        self._hurry = asyncio.Event()

    def soon(self) -> None:
        """Wish for the work to be done. Costs nothing when it is under way already."""
        self._again = True
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._wait_and_work())

    async def close(self) -> None:
        """Do now what has been wished for, and nothing after it. Safe to call twice."""
        self._closed = True
        self._hurry.set()
        if self._task is not None:
            # What is under way is finished: cut off, it would be on disk at some time after this returns.
            await asyncio.wait([self._task])
        if self._again:
            await self._try()

    async def _wait_and_work(self) -> None:
        while self._again:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._after):
                    await self._hurry.wait()
            await self._try()
        self._task = None

    async def _try(self) -> None:
        self._again = False
        try:
            await self._work()
        except PodiumError as error:
            _log.warning("%s: %s", self._what, error)
        except Exception:  # noqa: BLE001 - whatever it was, the calls go on without it
            _log.exception("%s", self._what)
