"""Clocks: what time it is and, for a clock that is moved by hand, who is to be called when it has got somewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable


class Wakeup(Protocol):
    """A call that is to come, as `asyncio.TimerHandle` is one."""

    def cancel(self) -> None:
        """Do not call."""
        ...


@runtime_checkable
class MovedClock(Protocol):
    """A clock that stands still until it is moved, and so must itself call whoever waits for a time."""

    def __call__(self) -> float:
        """Return the time in seconds since the epoch."""
        ...

    def call_at(self, due: float, function: Callable[[], object]) -> Wakeup:
        """Call `function`, from a plain callback of the event loop, when the clock shows `due` or later."""
        ...
