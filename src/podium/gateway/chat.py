"""A conversation's next message, asked for from outside: the same candidates and rules as a prompt's, and no judgement.

What a client of the server asks for is the client's business: a reply that was cut off or refused is handed on as such.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import PodiumError
from podium.domain.money import Money
from podium.domain.runs import DEFAULT_TENANT
from podium.gateway.failures import Fault
from podium.gateway.health.breaker import COUNTS, OPENS_AT_ONCE
from podium.gateway.line import Candidate, Line, Means
from podium.gateway.policy import CallPolicy, PromptPolicy
from podium.gateway.sizes import input_tokens
from podium.gateway.traffic import Held, Lease, Traffic, Wish
from podium.gateway.wording import one_line
from podium.ports.models import Delta, ModelFailure, ModelProvider, ModelProviders, ModelReply, ModelRequest
from podium.settings.gateway import GatewaySettings

_GRACE = 0.2
_LONGEST = 600
_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply, who gave it, and what it took with all that was tried before; `cost` None when no price is known."""

    reply: ModelReply
    model: str
    usage: Usage
    cost: Money | None


class Chat:
    """Asks candidates for a message. What it learns of providers is in `traffic`, shared by all calls.

    `clock` gives seconds that only grow, `sleep` waits for seconds, `jitter` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        providers: ModelProviders,
        settings: GatewaySettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.traffic = Traffic(settings)
        self._providers = providers
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    async def reply(
        self, models: Sequence[str], asked: ModelRequest, tenant: str = DEFAULT_TENANT
    ) -> Replied:
        """Return the first reply that one of `models` gives; `asked.limits.total` is the deadline of all of it.

        Raises `ModelFailure` of the last candidate's kind. Once a piece of a reply has gone to `asked.on_delta`,
        nothing is asked again: whoever listens would hear two beginnings.
        """
        own = PromptPolicy(tuple(models), timeout=asked.limits.total, max_tokens=asked.max_tokens)
        policy = CallPolicy.merged(self._settings, own)
        now = self._clock()
        self.traffic.called(now)
        line = Line(policy, asked.messages, now + policy.timeout)
        heard = _Heard(asked.on_delta, self._clock)
        usage, cost, failure = Usage(), Money(), _nobody(models)
        while not heard.anything and (candidate := line.next(now := self._clock())) is not None:
            if candidate.ready_at > now:
                await self._wait(candidate, min(candidate.ready_at, line.deadline) - now)
                continue
            permit = self._admit(candidate, line, tenant, now)
            if isinstance(permit, Held):
                line.hold(candidate, permit)
                wait = permit.until - now
                failure = ModelFailure(
                    permit.kind, permit.message, retry_after=wait if wait < _FOREVER else None
                )
                continue
            lease: Lease | None = None
            result: ModelReply | ModelFailure
            if isinstance(permit, Lease):
                lease = permit
                limits = policy.within(line.deadline - now)
                request = replace(
                    asked,
                    # To watch a reply that nobody hears costs ten times the work of one in a single piece.
                    limits=limits if asked.on_delta is not None else limits.whole(),
                    on_delta=heard.hear if asked.on_delta is not None else None,
                    on_token=heard.token,
                )
                result = await self._ask(candidate, lease, request, heard)
            else:
                result = permit
            usage += result.usage
            cost += result.cost or Money()
            if isinstance(result, ModelReply):
                known = result.cost is not None or bool(cost.nanos)
                return Replied(result, candidate.model, usage, cost if known else None)
            failure = result
            self._turn(candidate, line, lease, result)
        raise ModelFailure(
            failure.kind,
            one_line(str(failure), _LONGEST),
            retry_after=failure.retry_after,
            usage=usage,
            cost=cost,
        )

    async def _wait(self, candidate: Candidate, seconds: float) -> None:
        if candidate.held is not None and candidate.held.places is not None:
            await candidate.held.places.freed(seconds)
            candidate.ready_at = 0.0
        else:
            await self._sleep(seconds)

    def _admit(
        self, candidate: Candidate, line: Line, tenant: str, now: float
    ) -> Lease | Held | ModelFailure:
        try:
            candidate.routes = candidate.routes or self._providers.routes(candidate.model)
            candidate.routes[0].provider.check(candidate.routes[0].model)
        except PodiumError as error:
            return ModelFailure(FailureKind.UNAVAILABLE, str(error))
        wish = Wish(
            input_tokens(candidate.messages) + candidate.max_tokens,
            tenant,
            line.deadline,
            candidate.extra,
            candidate.shunned,
            candidate.refused,
        )
        permit = self.traffic.admit(candidate.routes, wish, now)
        if isinstance(permit, Lease):
            candidate.held = None
            if not candidate.price:
                self.traffic.budget(permit.lane.route).request(now)
        return permit

    async def _ask(
        self, candidate: Candidate, lease: Lease, request: ModelRequest, heard: _Heard
    ) -> ModelReply | ModelFailure:
        candidate.requests += 1
        started = self._clock()
        route = lease.lane.route
        try:
            result = await _complete(route.provider, route.model, request)
        except BaseException:
            # Cancelled: nobody is to blame.
            lease.dropped(self._clock())
            raise
        now = self._clock()
        if isinstance(result, ModelReply):
            lease.replied(now, result.usage, now - started, (heard.first_at or now) - started)
            self.traffic.budget(route).succeeded(candidate.price)
        else:
            fault = Fault.of(result.kind, str(result), result.retry_after)
            lease.failed(now, fault, result.usage, now - started)
        return result

    def _turn(self, candidate: Candidate, line: Line, lease: Lease | None, failure: ModelFailure) -> None:
        now, elsewhere = self._clock(), False
        fault = Fault.of(failure.kind, str(failure), failure.retry_after)
        if lease is not None:
            if fault.kind in COUNTS:
                for other in line.others(candidate):
                    other.extra = True
                avoided = candidate.refused if fault.kind in OPENS_AT_ONCE else candidate.shunned
                avoided.add(lease.lane.route.credential)
            avoided = candidate.refused | candidate.shunned
            elsewhere = len(candidate.routes) > 1 and self.traffic.has_other(candidate.routes, avoided, now)

        def buy(throttled: bool) -> int:  # noqa: FBT001 - the one argument there is
            return (
                1 if lease is None else self.traffic.budget(lease.lane.route).spend(now, throttled=throttled)
            )

        means = Means(elsewhere, buy, lambda other: other.model != candidate.model)
        line.turn(candidate, fault, now, self._jitter(), means)


async def _complete(provider: ModelProvider, model: str, request: ModelRequest) -> ModelReply | ModelFailure:
    limit = asyncio.timeout(request.limits.total + _GRACE)
    try:
        async with limit:
            return await provider.complete(model, request)
    except ModelFailure as failure:
        return failure
    except PodiumError as error:
        return ModelFailure(FailureKind.UNAVAILABLE, str(error))
    except Exception as error:  # noqa: BLE001 - a broken adapter must not take the other candidates with it
        if limit.expired():
            waited = f"no answer within the {request.limits.total:.3g} s left"
            return ModelFailure(FailureKind.TIMEOUT, waited)
        return ModelFailure(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")


class _Heard:
    """Passes pieces on, and knows whether there were any and when the first token came."""

    def __init__(self, listener: Callable[[Delta], None] | None, clock: Callable[[], float]) -> None:
        self._listener = listener
        self._clock = clock
        self.first_at: float | None = None
        self.anything = False

    def token(self) -> None:
        if self.first_at is None:
            self.first_at = self._clock()

    def hear(self, delta: Delta) -> None:
        self.anything = True
        if self._listener is not None:
            self._listener(delta)


def _nobody(models: Sequence[str]) -> ModelFailure:
    return ModelFailure(FailureKind.TIMEOUT, f"there was no time to ask {', '.join(models)}")
