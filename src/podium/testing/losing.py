"""A database whose process is lost at a certain write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from podium.testing.failures import ProcessLost

if TYPE_CHECKING:
    from podium.domain.runs import Run
    from podium.ports.journal import Change

T = TypeVar("T")


class LosingStorage:
    """Passes on to `storage` what is written, up to write number `crash_at`; from there on nothing is answered.

    That write is lost too, unless it is `kept`: then it is on disk and nobody was told. Whatever else the
    storage offers is passed on as it is. `writes` counts them.
    """

    def __init__(self, storage: Any, crash_at: int | None, *, kept: bool) -> None:
        self._storage = storage
        self._crash_at = crash_at
        self._kept = kept
        self._stop: Callable[[Exception], None] | None = None
        self.writes = 0
        self.lost: ProcessLost | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def on_failure(self, stop: Callable[[Exception], None]) -> None:
        """See `Journal.on_failure`; the loss of the process is one."""
        self._stop = stop
        self._storage.on_failure(stop)

    def commit(self, changes: Sequence[Change], done: Callable[[], None] | None = None) -> None:
        """See `Journal.commit`."""
        if self._reaches_disk():
            self._storage.commit(changes, None if done is None else lambda: self._unless_lost(done))

    async def create(self, run: Run) -> Run:
        """See `Journal.create`; raises `ProcessLost` from the crash on."""
        stored: Run | None = await self._storage.create(run) if self._reaches_disk() else None
        return self._answered(stored)

    async def write(self, change: Callable[[Any], T]) -> T:
        """See `Storage.write`; raises `ProcessLost` from the crash on."""
        made: T | None = await self._storage.write(change) if self._reaches_disk() else None
        return self._answered(made)

    async def read(self, query: Callable[[Any], T]) -> T:
        """See `Storage.read`; raises `ProcessLost` from the crash on."""
        found: T | None = await self._storage.read(query) if self.lost is None else None
        return self._answered(found)

    def _reaches_disk(self) -> bool:
        if self.lost is not None:
            return False
        self.writes += 1
        if self.writes != self._crash_at:
            return True
        self.lost = ProcessLost(f"the process was lost at write {self.writes}, as crash_at= asked for.")
        if self._stop is not None:
            asyncio.get_running_loop().call_soon(self._stop, self.lost)
        return self._kept

    def _unless_lost(self, done: Callable[[], None]) -> None:
        if self.lost is None:
            done()

    def _answered(self, value: T | None) -> T:
        if self.lost is not None:
            raise self.lost
        return value  # type: ignore[return-value] # None is an answer too
