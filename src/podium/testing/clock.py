"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

_Function = Callable[[], object]


class SkippingClock:
    """Shows the time that it was moved to, in seconds since the epoch, and calls whoever waited for it on the way."""

    def __init__(self, start: float) -> None:
        self._now = start
        self._order = itertools.count()
        self._alarms: list[tuple[float, int, _Alarm]] = []

    def __call__(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._now

    def call_at(self, due: float, function: _Function) -> _Alarm:
        """Call `function`, from a plain callback of the event loop, when the clock shows `due` or later."""
        alarm = _Alarm(function)
        if due <= self._now:
            asyncio.get_running_loop().call_soon(alarm.ring)
        else:
            heapq.heappush(self._alarms, (due, next(self._order), alarm))
        return alarm

    @property
    def next_due(self) -> float | None:
        """The earliest time that is waited for, in seconds since the epoch; None when nobody waits."""
        while self._alarms and self._alarms[0][2].is_over:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def move_to(self, time: float) -> None:
        """Show `time`, unless the clock is past it, and call, in order, those who waited for a time up to it."""
        self._now = max(self._now, time)
        loop = asyncio.get_running_loop()
        while (due := self.next_due) is not None and due <= self._now:
            loop.call_soon(heapq.heappop(self._alarms)[2].ring)


class _Alarm:
    def __init__(self, function: _Function) -> None:
        self._function: _Function | None = function

    @property
    def is_over(self) -> bool:
        return self._function is None

    def cancel(self) -> None:
        """Do not call."""
        self._function = None

    def ring(self) -> None:
        """Call now, once."""
        function, self._function = self._function, None
        if function is not None:
            function()


class SkippedWaits:
    """Seconds that only grow, in which a wait takes no time: for the pauses between two requests to a model."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._skipped = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self._clock() + self._skipped

    async def sleep(self, seconds: float) -> None:
        """Have waited for `seconds`."""
        self._skipped += seconds
        await asyncio.sleep(0)
