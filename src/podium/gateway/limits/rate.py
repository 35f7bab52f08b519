"""So many per minute: a bucket that fills evenly and holds a minute's worth."""

from __future__ import annotations

_MINUTE = 60.0


class Rate:
    """What is left of a limit per minute. Times are of one clock that only grows, in seconds."""

    __slots__ = ("_at", "_left", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left = float(per_minute)
        self._at = 0.0

    def ready_at(self, amount: float, now: float) -> float:
        """Return when `amount` may be taken: `now` or later. More than a minute's worth counts as just that."""
        missing = min(amount, self.per_minute) - self._fill(now)
        return now if missing <= 1e-9 else now + missing * _MINUTE / self.per_minute

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, or give it back where it is negative. What is left may fall below 0."""
        self._left = min(self._fill(now) - amount, float(self.per_minute))

    def left(self, now: float) -> float:
        """Return what is left."""
        return self._fill(now)

    def _fill(self, now: float) -> float:
        if now > self._at:
            grown = self._left + (now - self._at) * self.per_minute / _MINUTE
            self._left = min(grown, float(self.per_minute))
            self._at = now
        return self._left
