"""What a run uses while it is active."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from podium.domain.runs import Spending

if TYPE_CHECKING:
    from podium.domain.attempts import AttemptNote


class SpendingMeter:
    """Sums up tokens, money and active seconds of one run; `seconds` and `before` are those of earlier activity.

    Active is a run while `go_on` was called later than `rest`.
    """

    def __init__(self, seconds: float, before: Spending) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._usage = before.usage
        self._cost_nanos = before.cost_nanos
        self._unpriced = before.unpriced

    @property
    def is_running(self) -> bool:
        """Whether time is being counted."""
        return self._since is not None

    @property
    def active_seconds(self) -> float:
        """Seconds in which the run has been active, up to now."""
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def go_on(self) -> None:
        """Count the time from now on."""
        if self._since is None:
            self._since = time.monotonic()

    def rest(self) -> None:
        """Count no time until `go_on`."""
        self._seconds, self._since = self.active_seconds, None

    def add(self, note: AttemptNote) -> None:
        """Count a model request."""
        if note.call is not None:
            self._usage += note.call.usage
            self._cost_nanos += note.call.cost.nanos
            self._unpriced += not note.call.priced

    def reading(self) -> Spending:
        """Return the sums so far."""
        return Spending(self._usage, self._cost_nanos, self.active_seconds, self._unpriced)
