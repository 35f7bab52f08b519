"""How fast work in the background may go: in short transactions, with pauses between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WANTED = 0.01
_LONGEST_PAUSE = 5.0


class Pace:
    """Says how much one transaction may take on so that it holds others up for about 10 ms, and how long to pause.

    `share` is the most of the time, between 0 and 1, that is spent at work. Where others keep the database busy,
    each piece of work takes longer, and so do the pauses. `longest` is the longest that a transaction took so far,
    in seconds.
    """

    def __init__(self, share: float, size: int = 16, most: int = 500) -> None:
        self.size = size
        self.longest = 0.0
        self._share = share
        self._most = most
        self._since = time.perf_counter()

    @contextmanager
    def timed(self, count: int) -> Iterator[None]:
        """Measure a transaction that deals with `count` things, and fit the next one's `size` to that."""
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        self.longest = max(self.longest, took)
        if count:
            fitting = count * _WANTED / max(took, 1e-6)
            self.size = max(1, min(int(fitting), self.size * 2, self._most))

    async def pause(self) -> None:
        """Pause for as long as the time since the last pause asks for."""
        worked = time.perf_counter() - self._since
        await asyncio.sleep(min(worked * (1 / self._share - 1), _LONGEST_PAUSE))
        self._since = time.perf_counter()
