"""The way of a request that somebody else sends: past the same breaker and limits as the gateway's own."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from podium.domain.answers import FailureKind, Usage
from podium.gateway.failures import Fault
from podium.gateway.limits.turns import Waiter
from podium.gateway.traffic import Lease, Traffic, Wish
from podium.ports.models import ModelFailure, Route

_NOTHING = Usage()


@dataclass(slots=True)
class Passage:
    """One request on its way. It ends once: what is told after that is not counted."""

    lease: Lease
    began: float
    clock: Callable[[], float]

    @property
    def route(self) -> Route:
        """The way that it takes."""
        return self.lease.lane.route

    def replied(self, usage: Usage, first_token: float | None) -> None:
        """The model replied; its first token came `first_token` seconds after the request was sent."""
        now = self.clock()
        took = now - self.began
        self.lease.replied(now, usage, took, took if first_token is None else first_token)

    def failed(self, kind: FailureKind, message: str, retry_after: float | None = None) -> None:
        """The service failed, or refused; what was wrong with the request itself counts for nothing."""
        now = self.clock()
        self.lease.failed(now, Fault.of(kind, message, retry_after), _NOTHING, now - self.began)

    def dropped(self) -> None:
        """The request ended for a reason that is not the provider's."""
        self.lease.dropped(self.clock())


class Passages:
    """Gives way to requests. `traffic` is what all calls of the process have learnt of providers."""

    def __init__(self, traffic: Traffic, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._traffic = traffic
        self._clock = clock

    async def enter(
        self, routes: Sequence[Route], tokens: int, tenant: str, *, total: float, patience: float
    ) -> Passage:
        """Return the passage of a request of about so many `tokens` that takes `total` seconds at most, by the best route.

        Waits up to `patience` seconds for a limit of one's own. Raises `ModelFailure` when the breaker is open, when the
        provider asked to be left alone, and when there is no room within a limit.
        """
        until = self._clock() + patience
        waiter: Waiter | None = None
        try:
            while True:
                now = self._clock()
                wish = Wish(tokens, tenant, now + total, waiter=waiter)
                permit = self._traffic.admit(routes, wish, now)
                if isinstance(permit, Lease):
                    return Passage(permit, now, self._clock)
                left, wait = until - now, permit.until - now
                if permit.kind is not FailureKind.LIMITED or left <= 0 or (permit.is_known and wait > left):
                    raise ModelFailure(permit.kind, permit.message, retry_after=_known(wait))
                waiter = waiter or self._traffic.limiter.arrive()
                told = waiter.stand_in(permit.queues)
                # Room at a known time is the first one's; all others are told when they have become that.
                soon = permit.is_known and waiter.is_first
                await asyncio.wait({told}, timeout=min(wait, left) if soon else left)
        finally:
            if waiter is not None:
                waiter.leave()


def _known(seconds: float) -> float | None:
    return max(seconds, 0.0) if math.isfinite(seconds) else None
