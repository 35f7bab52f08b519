"""So many at once, and a queue of those who wait for a place."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """Places for requests on their way; `taken` of `number`."""

    __slots__ = ("_waiting", "number", "taken")

    def __init__(self, number: int) -> None:
        self.number = number
        self.taken = 0
        self._waiting = deque[asyncio.Future[None]]()

    @property
    def full(self) -> bool:
        """Whether no place is free."""
        return self.taken >= self.number

    def take(self) -> None:
        """Take a place."""
        self.taken += 1

    def give_back(self) -> None:
        """Give a place back; who has waited longest is told."""
        self.taken -= 1
        self._wake()

    async def freed(self, seconds: float) -> None:
        """Return when there may be a place for the caller, or after `seconds`."""
        told = asyncio.get_running_loop().create_future()
        self._waiting.append(told)
        try:
            await asyncio.wait_for(asyncio.shield(told), seconds)
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if told.done() and not self.full:
                self._wake()
            raise
        finally:
            if not told.done():
                told.cancel()

    def _wake(self) -> None:
        while self._waiting:
            told = self._waiting.popleft()
            if not told.done():
                told.set_result(None)
                return
