"""Who waits for room under limits, and whose turn it is: first come, first served."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Iterable


def _arrival(waiter: Waiter) -> int:
    return waiter.number


class Turns:
    """The queue of one limit. Nobody passes whoever waits in it and came earlier.

    In it are only those who wait for room under this limit, and those who were just told that there may be some.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Waiter] = []

    def ahead_of(self, waiter: Waiter | None) -> int:
        """Return how many go before `waiter`, who need not be in the queue; None is somebody who comes just now."""
        if waiter is None:
            return len(self._waiting)
        return bisect_left(self._waiting, waiter.number, key=_arrival) if self._waiting else 0

    def call(self) -> None:
        """Tell the first that there may be room."""
        if self._waiting:
            self._waiting[0].tell()

    def join(self, waiter: Waiter) -> None:
        """Take one's place, by the time of arrival."""
        insort(self._waiting, waiter, key=_arrival)

    def leave(self, waiter: Waiter) -> None:
        """Give up one's place; the next is told when it was the first."""
        index = self.ahead_of(waiter)
        del self._waiting[index]
        if index == 0:
            self.call()


class Waiter:
    """A call that waits, in the queues of all limits that keep it from being served. `number` grows by arrival.

    It keeps its number until it is served: one that comes back into a queue loses no turn.
    """

    __slots__ = ("_told", "number", "queues")

    def __init__(self, number: int) -> None:
        self.number = number
        self.queues: frozenset[Turns] = frozenset()
        self._told: asyncio.Future[None] | None = None

    @property
    def is_first(self) -> bool:
        """Whether nobody goes before it in any of its queues."""
        return all(queue.ahead_of(self) == 0 for queue in self.queues)

    def tell(self) -> None:
        """Wake it up, if it sleeps."""
        if self._told is not None and not self._told.done():
            self._told.set_result(None)

    def stand_in(self, queues: Iterable[Turns]) -> asyncio.Future[None]:
        """Wait in `queues` and in no other; return what is done when it is told to look again."""
        wanted = frozenset(queues)
        self._told = asyncio.get_running_loop().create_future()
        before, self.queues = self.queues, wanted
        for queue in wanted - before:
            queue.join(self)
        for queue in before - wanted:
            queue.leave(self)
        return self._told

    def leave(self) -> None:
        """Wait no more, served or not."""
        before, self.queues = self.queues, frozenset()
        for queue in before:
            queue.leave(self)
