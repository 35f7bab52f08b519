"""How long a model takes, from its latest requests."""

from __future__ import annotations

import math
from collections import deque

_WEIGHT = 0.2
_HALF_LIFE = 10.0
# Sorting a few hundred numbers for each request would cost more than the rest of the gateway.
_RENEW_EVERY = 20


class Latency:
    """Latencies of the last `samples` replies, in seconds."""

    __slots__ = ("_age", "_at", "_kept", "_mean", "_quantiles")

    def __init__(self, samples: int) -> None:
        self._mean = 0.0
        self._at = 0.0
        self._kept = deque[float](maxlen=samples)
        self._quantiles: dict[float, float] = {}
        self._age = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, seconds: float, now: float) -> None:
        """Take note of a reply that came `now`."""
        self._mean = seconds if not self._kept else self._mean + _WEIGHT * (seconds - self._mean)
        self._at = now
        self._kept.append(seconds)
        self._age += 1
        if self._age >= _RENEW_EVERY:
            self._age = 0
            self._quantiles.clear()

    def expected(self, now: float) -> float:
        """Return the mean, weighted towards the latest; 0 without any.

        It fades with time, so that who was slow is asked again some day.
        """
        return self._mean * math.exp2((self._at - now) / _HALF_LIFE)

    def quantile(self, share: float) -> float:
        """Return the latency that the share `share` of the replies did not exceed, 0 without any.

        It may leave out the latest 20 replies.
        """
        if not self._kept:
            return 0.0
        if share not in self._quantiles:
            ordered = sorted(self._kept)
            self._quantiles[share] = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        return self._quantiles[share]
