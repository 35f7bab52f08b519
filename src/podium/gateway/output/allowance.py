"""How much time the reading of one reply may take."""

from __future__ import annotations

import time

SECONDS = 0.02
"""Processor time after which no further way of reading is tried; one that is being tried ends soon after."""


class Allowance:
    """Time of this thread's own, from now on: what others do on the machine does not count."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._end = time.thread_time() + seconds

    def forgive(self, seconds: float) -> None:
        """Put off the end: so much went into what happens once, and is no part of this reply."""
        self._end += seconds

    @property
    def is_used_up(self) -> bool:
        """Whether the time is over."""
        return time.thread_time() > self._end
