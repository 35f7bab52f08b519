"""The retry budget of one provider's model, shared by all calls of a process.

Each call has retries of its own; when a service is down, the retries of all calls together are what keeps it down.
The store with its prices is that of the AWS SDKs' retry quota, the share of traffic that of Finagle's retry budgets.
"""

from __future__ import annotations

from podium.gateway.health.rolling import RollingCount
from podium.settings.resilience import RetryBudgetSettings

_MINUTE = 60.0


class RetryBudget:
    """What is left for retries. `left` is from 0 to the capacity."""

    __slots__ = ("_requests", "_retries", "_settings", "left")

    def __init__(self, settings: RetryBudgetSettings) -> None:
        self.left = settings.capacity
        self._settings = settings
        self._requests = RollingCount(_MINUTE)
        self._retries = RollingCount(_MINUTE)

    def request(self, now: float) -> None:
        """Count a request that is no retry."""
        self._requests.add(now)

    def spend(self, now: float, *, throttled: bool) -> int:
        """Return the price of a retry, which has been taken, or 0 when there is nothing left for one."""
        settings = self._settings
        price = settings.throttled if throttled else settings.transient
        most = max(float(settings.floor), settings.share * self._requests.total(now))
        if self.left < price or self._retries.total(now) + 1 > most:
            return 0
        self.left -= price
        self._retries.add(now)
        return price

    def succeeded(self, price: int) -> None:
        """Give back the price of the retry that succeeded, or 1 for a request that did so at once (`price` 0)."""
        if self.left < self._settings.capacity:
            self.left = min(self.left + (price or 1), self._settings.capacity)

    def last_minute(self, now: float) -> tuple[int, int]:
        """Return the requests and the retries of the last minute."""
        return self._requests.total(now), self._retries.total(now)
