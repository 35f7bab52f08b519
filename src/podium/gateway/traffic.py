"""The traffic of a process with its providers: who may be asked now, with which credential, and how that went.

One object for all calls of a process, so that what one learns of a provider all others know.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from podium.domain.answers import FailureKind, Usage
from podium.domain.states import BreakerState
from podium.gateway.failures import Fault
from podium.gateway.health.breaker import LOOK, Breaker
from podium.gateway.health.latency import Latency
from podium.gateway.health.retry_budget import RetryBudget
from podium.gateway.health.rolling import RollingCount
from podium.gateway.limits.limited import Limited
from podium.gateway.limits.limiter import Limiter
from podium.gateway.limits.turns import Turns, Waiter
from podium.ports.models import Route
from podium.settings.gateway import GatewaySettings

_NOBODY: Final = frozenset[str]()
# Whoever waits for a time that rounding has already reached would wait for nothing, over and over.
_SHORTEST_WAIT = 0.001


@dataclass(slots=True)
class Lane:
    """A provider's model with one credential: how it has fared. `paused_until`: the provider asked to be left alone."""

    route: Route
    breaker: Breaker
    latency: Latency
    first_token: Latency
    paused_until: float = 0.0
    on_the_way: int = 0
    cautious: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call would like to send. `tokens` is an estimate of input and output together.

    `extra`: it is a retry or a fallback. `shunned` are credentials to be taken only if there is no other, `refused`
    those not to be taken at all. `waiter` is the call where it has waited for limits.
    """

    tokens: int
    tenant: str
    deadline: float
    extra: bool = False
    shunned: Collection[str] = _NOBODY
    refused: Collection[str] = _NOBODY
    waiter: Waiter | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Why nothing may be sent now, and from when on to ask again.

    `queues` are those of all limits in the way, where there will be room earlier or later. Where the time `is_known`,
    there is room at it for whoever is first in them. `is_open`: the breaker lets nobody through before.
    """

    until: float
    kind: FailureKind
    message: str
    queues: tuple[Turns, ...] = ()
    is_known: bool = False
    is_open: bool = False


@dataclass(slots=True)
class Lease:
    """The permission to make one request over `lane`. Ends with exactly one of its four methods."""

    lane: Lane
    tokens: int
    limits: tuple[Limited, ...]
    probe: bool
    cautious: bool
    _ended: bool = field(default=False, repr=False)

    def replied(self, now: float, usage: Usage, latency: float, first_token: float) -> None:
        """The model replied, after `latency` seconds; its first token came after `first_token`."""
        if self._end(now, usage.input_tokens + usage.output_tokens):
            self.lane.latency.add(latency, now)
            self.lane.first_token.add(first_token, now)
            self.lane.breaker.succeeded(now, probe=self.probe)

    def served(self, now: float) -> None:
        """The provider did what was asked, which was no reply: it tells nothing about how long these take."""
        if self._end(now, 0):
            self.lane.breaker.succeeded(now, probe=self.probe)

    def failed(self, now: float, fault: Fault, usage: Usage, waited: float) -> None:
        """The request failed after `waited` seconds."""
        if not self._end(now, usage.input_tokens + usage.output_tokens):
            return
        lane = self.lane
        if fault.retry_after is not None:
            lane.paused_until = max(lane.paused_until, now + fault.retry_after)
        if fault.kind is FailureKind.TIMEOUT and waited < lane.latency.quantile(0.95):
            # The caller had less time than answers usually take, which tells nothing about the service.
            lane.breaker.released(probe=self.probe)
        else:
            lane.breaker.failed(now, fault.kind, fault.retry_after, probe=self.probe)

    def dropped(self, now: float, usage: Usage | None = None) -> None:
        """The request was cancelled, having used `usage`, or came to nothing for a reason that is not the provider's."""
        if self._end(now, 0 if usage is None else usage.input_tokens + usage.output_tokens):
            self.lane.breaker.released(probe=self.probe)

    def _end(self, now: float, used: int) -> bool:
        if self._ended:
            return False
        self._ended = True
        self.lane.on_the_way -= 1
        self.lane.cautious -= self.cautious
        for limited in self.limits:
            limited.settle(self.tokens, used, now)
        return True


class Traffic:
    """Breakers, retry budgets, limits and latencies of a process. Times of one clock that only grows, in seconds."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self.lanes: dict[tuple[str, str, str], Lane] = {}
        self.budgets: dict[tuple[str, str], RetryBudget] = {}
        self.limiter = Limiter(settings)
        self.requests = 0
        self._calls = RollingCount(settings.hedging.window)
        self._hedges = RollingCount(settings.hedging.window)

    @property
    def changes(self) -> int:
        """How often a breaker has changed its state so far."""
        return sum(lane.breaker.changes for lane in self.lanes.values())

    def admit(self, routes: Sequence[Route], wish: Wish, now: float) -> Lease | Held:
        """Return the permission to make a request over the best of the routes, or why there is none now."""
        held: Held | None = None
        queues: tuple[Turns, ...] = ()
        for lane in self._by_preference(routes, wish, now):
            limits = self.limiter.of(lane.route.place, lane.route.credential, wish.tenant)
            obstacle = self._obstacle(lane, limits, wish, now)
            if obstacle is None:
                return self._lease(lane, limits, wish, now)
            queues += obstacle.queues
            if held is None or obstacle.until < held.until:
                held = obstacle
        if held is None:
            return Held(math.inf, FailureKind.UNAVAILABLE, "every credential was refused")
        return held if len(queues) == len(held.queues) else replace(held, queues=queues)

    def opens_at(self, routes: Sequence[Route], refused: Collection[str], now: float) -> float:
        """Return from when on a breaker or a provider's own wish would let a request pass: `now`, or later."""
        usable = (self.lane(route) for route in routes if route.credential not in refused)
        return min((max(lane.breaker.ready_at(now), lane.paused_until) for lane in usable), default=now)

    def has_other(self, routes: Sequence[Route], avoided: Collection[str], now: float) -> bool:
        """Return whether a credential that is not among `avoided` could be tried now."""
        others = [route for route in routes if route.credential not in avoided]
        return bool(others) and self.opens_at(others, _NOBODY, now) <= now

    def lane(self, route: Route) -> Lane:
        """Return what is known of a route."""
        lane = self.lanes.get(route.key)
        if lane is None:
            samples = self._settings.hedging.samples
            lane = Lane(route, Breaker(self._settings.breaker), Latency(samples), Latency(samples))
            self.lanes[route.key] = lane
        return lane

    def budget(self, route: Route) -> RetryBudget:
        """Return the retry budget of a route's model at its provider."""
        key = route.key[:2]
        budget = self.budgets.get(key)
        if budget is None:
            budget = self.budgets[key] = RetryBudget(self._settings.retry_budget)
        return budget

    def called(self, now: float) -> None:
        """Count a call, of whose number hedges are a share."""
        self._calls.add(now)

    def hedge_after(self, lane: Lane) -> float | None:
        """Return after how many seconds without a token a request over `lane` is late, None when that is not known."""
        hedging = self._settings.hedging
        known = len(lane.first_token) >= hedging.least
        return lane.first_token.quantile(hedging.quantile) if known else None

    def may_hedge(self, now: float) -> bool:
        """Return whether one more hedged request stays within the share of traffic that is allowed for them."""
        return self._hedges.total(now) + 1 <= self._settings.hedging.share * self._calls.total(now)

    def hedged(self, now: float) -> None:
        """Count a hedged request."""
        self._hedges.add(now)

    def _by_preference(self, routes: Sequence[Route], wish: Wish, now: float) -> Sequence[Lane]:
        if len(routes) == 1:
            return () if routes[0].credential in wish.refused else (self.lane(routes[0]),)
        lanes = [self.lane(route) for route in routes if route.credential not in wish.refused]
        return sorted(lanes, key=lambda lane: self._load(lane, wish, now))

    def _load(self, lane: Lane, wish: Wish, now: float) -> tuple[bool, float, int]:
        limits = self.limiter.of(lane.route.place, lane.route.credential, wish.tenant)
        headroom = min((limited.headroom(now) for limited in limits), default=1.0)
        # To the hundredth of a second, so that what is as good as equally fast takes turns.
        seconds = round(lane.latency.expected(now), 2) + 0.01
        return (
            lane.route.credential in wish.shunned,
            seconds * (1 + lane.on_the_way) / max(headroom, 0.01),
            lane.requests,
        )

    def _obstacle(self, lane: Lane, limits: tuple[Limited, ...], wish: Wish, now: float) -> Held | None:
        breaker, name = lane.breaker, lane.route.label
        if lane.paused_until > now:
            said = f"{name} asked to be left alone for another {lane.paused_until - now:.1f} s"
            return Held(lane.paused_until, FailureKind.RATE_LIMIT, said)
        if breaker.state is not BreakerState.CLOSED:
            until = breaker.ready_at(now)
            if until > now:
                is_open = breaker.state is BreakerState.OPEN
                until = max(until, now + _SHORTEST_WAIT)
                return Held(until, FailureKind.BREAKER_OPEN, _open(lane, now), is_open=is_open)
        elif wish.extra and lane.cautious >= self._settings.breaker.caution and not breaker.is_proven(now):
            said = f"{lane.cautious} others are finding out whether {name} works"
            return Held(now + LOOK, FailureKind.BREAKER_OPEN, said)
        for limited in limits:
            short = limited.shortage(wish.tokens, now, wish.waiter)
            if short is not None:
                until = max(short.until, now + _SHORTEST_WAIT)
                return Held(until, FailureKind.LIMITED, short.message, (short.turns,), short.is_known)
        return None

    def _lease(self, lane: Lane, limits: tuple[Limited, ...], wish: Wish, now: float) -> Lease:
        probe = lane.breaker.enter(wish.deadline)
        for limited in limits:
            limited.take(wish.tokens, now)
        self.requests += 1
        lane.requests += 1
        lane.on_the_way += 1
        lane.cautious += wish.extra
        return Lease(lane, wish.tokens, limits, probe, wish.extra)


def _open(lane: Lane, now: float) -> str:
    breaker = lane.breaker
    if breaker.state is BreakerState.HALF_OPEN:
        return f"the breaker of {lane.route.label} is half open and another request is probing"
    left = breaker.until - now
    return f"the breaker of {lane.route.label} is open for another {left:.1f} s ({breaker.reason})"
