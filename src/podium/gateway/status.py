"""The traffic of a process as others are shown it. Holds names of credentials and no secrets."""

from __future__ import annotations

from podium.domain.gateway_status import BudgetStatus, GatewayStatus, LaneStatus, LimitStatus
from podium.domain.states import BreakerState
from podium.gateway.limits.limited import Limited
from podium.gateway.traffic import Lane, Traffic
from podium.settings.resilience import RetryBudgetSettings


def status_of(
    traffic: Traffic, settings: RetryBudgetSettings, *, now: float, at: float, pid: int
) -> GatewayStatus:
    """Return how things stand `now` on the gateway's clock, which is `at` in seconds since the epoch."""
    lanes = tuple(_lane(lane, now, at - now) for lane in traffic.lanes.values())
    budgets = tuple(
        BudgetStatus(place, model, budget.left, settings.capacity, *budget.last_minute(now))
        for (place, model), budget in traffic.budgets.items()
    )
    limits = tuple(_limit(limited, now) for limited in traffic.limiter.all())
    return GatewayStatus(at, pid, lanes, budgets, limits)


def _lane(lane: Lane, now: float, shift: float) -> LaneStatus:
    breaker = lane.breaker
    open_until = breaker.until if breaker.state is BreakerState.OPEN else 0.0
    until = max(open_until, lane.paused_until)
    reason = breaker.reason
    if not reason and lane.paused_until > now:
        reason = "the provider asked to be left alone"
    return LaneStatus(
        lane.route.place,
        lane.route.model,
        lane.route.credential,
        breaker.state,
        until + shift if until > now else None,
        reason,
        breaker.failure_share(now),
        lane.on_the_way,
        lane.requests,
        lane.latency.quantile(0.5),
        lane.first_token.quantile(0.5),
    )


def _limit(limited: Limited, now: float) -> LimitStatus:
    requests, tokens, places = limited.requests, limited.tokens, limited.places
    return LimitStatus(
        limited.scope,
        None if requests is None else requests.per_minute,
        None if requests is None else requests.left(now),
        None if tokens is None else tokens.per_minute,
        None if tokens is None else tokens.left(now),
        None if places is None else places.number,
        None if places is None else places.taken,
    )
