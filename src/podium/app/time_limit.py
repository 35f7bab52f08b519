"""A limit on the time that somebody else's code may take in this thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OutOfTime(BaseException):
    """Raised in the middle of code that takes too long. No `Exception`, so that it is not taken for an error of its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the block, wherever it stands, when it takes longer than `seconds`, and again when it goes on.

    Leaving the block raises it too, should the code within have swallowed it. Where the system has no such timers,
    and outside the main thread, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    is_over = False

    def ring(*_: Any) -> None:
        nonlocal is_over
        is_over = True
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if is_over:
        raise OutOfTime
