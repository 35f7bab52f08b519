"""The circuit breaker of one provider, model and credential.

After M. Nygard, "Release It!" (2007), with a lease on the probe: of all who would like to know whether the provider
works again, one asks.
"""

from __future__ import annotations

from typing import Final

from podium.domain.answers import FailureKind
from podium.domain.states import BREAKER_TRANSITIONS, BreakerState
from podium.gateway.health.rolling import RollingCount
from podium.settings.resilience import BreakerSettings

LOOK: Final = 0.25
"""After how many seconds to look again at what ends at no known time: a probe of another call."""

OPENS_AT_ONCE: Final = frozenset({FailureKind.QUOTA, FailureKind.AUTHENTICATION, FailureKind.NOT_FOUND})
"""What the next request would meet too, until somebody has done something about it."""

COUNTS: Final = OPENS_AT_ONCE | {
    FailureKind.CONNECT,
    FailureKind.RESET,
    FailureKind.TIMEOUT,
    FailureKind.STALL,
    FailureKind.SERVER,
    FailureKind.RATE_LIMIT,
    FailureKind.OVERLOADED,
}
"""Failures of the service. What a model says wrongly, and what is wrong with the request, is none of it."""

_LONGEST_DOUBLING = 30


class Breaker:
    """Lets requests through, or not. `until` is when it half-opens, `reason` why it opened last, in words.

    All times are of one clock, in seconds. `changes` grows with each change of state.
    """

    __slots__ = (
        "_bad",
        "_failed_in_a_row",
        "_good",
        "_leased_until",
        "_openings",
        "_settings",
        "_successes",
        "changes",
        "reason",
        "state",
        "until",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self.state = BreakerState.CLOSED
        self.until = 0.0
        self.reason = ""
        self.changes = 0
        self._settings = settings
        self._good = RollingCount(settings.window)
        self._bad = RollingCount(settings.window)
        self._failed_in_a_row = 0
        self._openings = 0
        self._successes = 0
        self._leased_until = 0.0

    def ready_at(self, now: float) -> float:
        """Return when a request may be made: `now`, or a later time at which to look again."""
        if self.state is BreakerState.CLOSED:
            return now
        if self.state is BreakerState.OPEN:
            return max(self.until, now)
        return now if now >= self._leased_until else min(self._leased_until, now + LOOK)

    def enter(self, deadline: float) -> bool:
        """Begin a request that ends by `deadline`, at a time when it may; return whether it is a probe."""
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN:
            self._change(BreakerState.HALF_OPEN)
            self._successes = 0
        # Who never reports would otherwise hold the lease for ever.
        self._leased_until = deadline
        return True

    def succeeded(self, now: float, *, probe: bool) -> None:
        """Take note of a request that was answered, whatever the answer is worth."""
        self._failed_in_a_row = 0
        self._good.add(now)
        if probe and self.state is BreakerState.HALF_OPEN:
            self._leased_until = 0.0
            self._successes += 1
            if self._successes >= self._settings.successes:
                self._close()

    def failed(
        self, now: float, kind: FailureKind, retry_after: float | None = None, *, probe: bool = False
    ) -> None:
        """Take note of a request that failed; what is no failure of the service only ends a probe."""
        if kind not in COUNTS:
            self.released(probe=probe)
            return
        self._failed_in_a_row += 1
        self._bad.add(now)
        wished = now + (retry_after or 0.0)
        if self.state is BreakerState.OPEN:
            if retry_after is not None and wished > self.until:
                self.until = wished
        elif self.state is BreakerState.HALF_OPEN:
            # Those that were on their way before it opened tell nothing new.
            if probe:
                self._open(now, wished, f"a probe failed: {_words(kind)}")
        elif kind in OPENS_AT_ONCE:
            self._open(now, wished, _words(kind))
        elif self._failed_in_a_row >= self._settings.in_a_row:
            self._open(now, wished, f"{self._failed_in_a_row} failures in a row, the last: {_words(kind)}")
        elif self._mostly_failing(now):
            self._open(now, wished, f"{self.failure_share(now):.0%} failures, the last: {_words(kind)}")

    def released(self, *, probe: bool) -> None:
        """End a request that tells nothing about the provider, because it was cancelled or was wrong in itself."""
        if probe and self.state is BreakerState.HALF_OPEN:
            self._leased_until = 0.0

    def failure_share(self, now: float) -> float:
        """Return the share of the window's requests that failed, from 0 to 1."""
        bad = self._bad.total(now)
        return bad / (bad + self._good.total(now)) if bad else 0.0

    def is_proven(self, now: float) -> bool:
        """Return whether a request was answered within the window."""
        return self._good.total(now) > 0

    def _mostly_failing(self, now: float) -> bool:
        bad, good = self._bad.total(now), self._good.total(now)
        return bad + good >= self._settings.volume and bad >= self._settings.failures * (bad + good)

    def _open(self, now: float, wished: float, reason: str) -> None:
        self._change(BreakerState.OPEN)
        settings = self._settings
        pause = min(settings.base * 2.0 ** min(self._openings, _LONGEST_DOUBLING), settings.cap)
        self._openings += 1
        self.until = max(self.until, now + pause, wished)
        self.reason = reason

    def _close(self) -> None:
        self._change(BreakerState.CLOSED)
        self._openings = 0
        self._failed_in_a_row = 0
        self._good.clear()
        self._bad.clear()
        self.reason = ""

    def _change(self, state: BreakerState) -> None:
        if state not in BREAKER_TRANSITIONS[self.state]:
            raise AssertionError(f"a breaker that is {self.state} cannot become {state}")
        self.state = state
        self.changes += 1


def _words(kind: FailureKind) -> str:
    return kind.replace("_", " ")
