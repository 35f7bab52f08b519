"""What a run uses while it is active."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from podium.domain.answers import Usage
from podium.domain.runs import Spending

if TYPE_CHECKING:
    from podium.domain.attempts import AttemptNote


class SpendingMeter:
    """Sums up tokens, money and active seconds of one run; `before` are the seconds of earlier activity."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._since = time.monotonic()
        self._usage = Usage()
        self._cost_nanos = 0

    @property
    def active_seconds(self) -> float:
        """Seconds in which the run has been active, up to now."""
        return self._before + time.monotonic() - self._since

    def add(self, note: AttemptNote) -> None:
        """Count a model request."""
        if note.call is not None:
            self._usage += note.call.usage
            self._cost_nanos += note.call.cost.nanos

    def reading(self) -> Spending:
        """Return the sums so far."""
        return Spending(self._usage, self._cost_nanos, self.active_seconds)
