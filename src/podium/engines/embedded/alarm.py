"""One alarm for all the runs that sleep: it rings when the earliest of them may be due."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from podium.ports.clock import MovedClock, Wakeup

_LONGEST = 60.0


def call_at(clock: Callable[[], float], due: float, function: Callable[[], object]) -> Wakeup:
    """Call `function` on the running event loop when `clock` shows `due`, in seconds since the epoch."""
    if isinstance(clock, MovedClock):
        return clock.call_at(due, function)
    return asyncio.get_running_loop().call_later(max(due - clock(), 0.0), function)


class Alarm:
    """Rings once at the earliest time it was set to, or after `longest` seconds; `clock` gives seconds since the epoch.

    It may ring too early, because the clock may be set, and a machine may sleep, while an event loop waits.
    """

    def __init__(
        self, clock: Callable[[], float], ring: Callable[[], None], longest: float = _LONGEST
    ) -> None:
        self._clock = clock
        self._ring = ring
        self._longest = math.inf if isinstance(clock, MovedClock) else longest
        self._handle: Wakeup | None = None
        self._at = 0.0

    def set(self, at: float) -> None:
        """Ring at `at` (seconds since the epoch), or earlier when that was asked for before."""
        if self._handle is not None and self._at <= at:
            return
        self.cancel()
        self._at = at
        self._handle = call_at(self._clock, min(at, self._clock() + self._longest), self._rings)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rings(self) -> None:
        self._handle = None
        self._ring()
