"""One alarm for all the runs that sleep: it rings when the earliest of them may be due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LONGEST = 60.0


class Alarm:
    """Rings once at the earliest time it was set to, or after `longest` seconds; `clock` gives seconds since the epoch.

    It may ring too early, because the clock may be set, and a machine may sleep, while an event loop waits.
    """

    def __init__(
        self, clock: Callable[[], float], ring: Callable[[], None], longest: float = _LONGEST
    ) -> None:
        self._clock = clock
        self._ring = ring
        self._longest = longest
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0.0

    def set(self, at: float) -> None:
        """Ring at `at` (seconds since the epoch), or earlier when that was asked for before."""
        if self._handle is not None and self._at <= at:
            return
        self.cancel()
        self._at = at
        delay = min(max(at - self._clock(), 0.0), self._longest)
        self._handle = asyncio.get_running_loop().call_later(delay, self._rings)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rings(self) -> None:
        self._handle = None
        self._ring()
