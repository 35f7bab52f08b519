"""One request over one lane: sent, read and judged, and its outcome told to the traffic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from podium.domain.answers import FailureKind
from podium.domain.errors import BudgetExceeded, PodiumError
from podium.domain.money import Money
from podium.gateway.call import Call
from podium.gateway.failures import Fault
from podium.gateway.ledger import Trial
from podium.gateway.line import Candidate
from podium.gateway.traffic import Lease
from podium.gateway.under_way import Bill, UnderWay, bill_of
from podium.gateway.wording import well_formed
from podium.ports.models import CallLimits, Delta, ModelFailure, ModelProvider, ModelReply, ModelRequest

logger = logging.getLogger(__name__)

# A provider keeps the deadline itself and then says what it had counted: this is for one that fails to.
_GRACE = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one request of a candidate; without a `lease` it was never sent."""

    candidate: Candidate
    lease: Lease | None
    trial: Trial

    @property
    def note(self) -> str:
        """What there is to tell of a request that was accepted."""
        candidate = self.candidate
        said = [f"waited {candidate.waited:.1f} s"] if candidate.waited else []
        if self.lease is not None and len(candidate.routes) > 1:
            said.append(f"with {self.lease.lane.route.credential}")
        return ", ".join(said)


async def ask(
    call: Call, candidate: Candidate, lease: Lease, clock: Callable[[], float], under_way: UnderWay
) -> Asked:
    """Make one request with what is left of the call's deadline and budgets; tells the lease what came of it.

    When a budget has no room for it nothing is sent, and the candidate's `breach` says why.
    """
    if call.purse is None:
        return await _sent(call, candidate, lease, clock, under_way)
    try:
        reserved = await call.purse.before_request(
            candidate.model,
            candidate.messages,
            candidate.max_tokens,
            call.asked.schema,
            call.line.deadline - clock(),
        )
    except BaseException as error:
        lease.dropped(clock())
        if not isinstance(error, BudgetExceeded):
            raise
        candidate.breach = error
        return Asked(candidate, lease, Trial(Fault.of(FailureKind.BUDGET, str(error)), sent=False))
    try:
        asked = await _sent(call, candidate, lease, clock, under_way)
        call.purse.after_request(reserved, candidate.model, asked.trial.cost or Money(), asked.trial.usage)
    finally:
        # Cut off in the middle: nobody knows what it came to.
        reserved.settle(None)
    return asked


async def _sent(
    call: Call, candidate: Candidate, lease: Lease, clock: Callable[[], float], under_way: UnderWay
) -> Asked:
    started = clock()
    route = lease.lane.route
    request = _request(call, candidate, call.line.deadline - started, under_way)
    candidate.requests += 1
    call.audience.begin()
    try:
        reply = await _reply(route.provider, route.model, request)
    except BaseException:
        # Cancelled: nobody is to blame.
        bill = under_way.bill(candidate.messages, route) if under_way.lost else None
        lease.dropped(clock(), None if bill is None else bill.usage)
        if bill is None:
            raise
        return Asked(candidate, lease, _lost(bill, clock() - started))
    now = clock()
    latency = now - started
    match reply:
        case ModelReply(text=text):
            bill = bill_of(reply, candidate.messages, route.price)
            lease.replied(now, bill.usage, latency, (under_way.first_at or now) - started)
            readable = well_formed(text)
            try:
                result = await call.judge(reply if readable is text else replace(reply, text=readable))
            except asyncio.CancelledError:
                if not under_way.lost:
                    raise
                return Asked(candidate, lease, _lost(bill, latency))
            except Exception as error:
                # What the reply has cost must be known all the same.
                logger.exception("A reply could not be judged")
                result = Fault.of(
                    FailureKind.INTERNAL, f"the reply could not be judged: {type(error).__name__}"
                )
            trial = Trial(
                result, readable, bill.usage, bill.cost, bill.price_table, latency, estimated=bill.estimated
            )
        case ModelFailure():
            fault = Fault.of(reply.kind, str(reply), reply.retry_after)
            lease.failed(now, fault, reply.usage, latency)
            trial = Trial(fault, "", reply.usage, reply.cost, reply.price_table, latency)
        case _:
            assert_never(reply)
    return Asked(candidate, lease, trial)


def _request(call: Call, candidate: Candidate, seconds: float, under_way: UnderWay) -> ModelRequest:
    asked, policy = call.asked, call.policy
    observer = _observer(call, under_way)
    mode = asked.schema_mode
    if mode is None and asked.schema is not None:
        mode = policy.schema_mode(candidate.model)
    return ModelRequest(
        messages=candidate.messages,
        # To watch a reply that nobody hears costs ten times the work of one in a single piece.
        limits=CallLimits(seconds, policy.limits.connect, seconds, seconds)
        if call.patient and observer is None
        else policy.within(seconds),
        schema=asked.schema,
        schema_name=asked.schema_name,
        max_tokens=candidate.max_tokens,
        temperature=asked.temperature,
        on_token=under_way.token,
        schema_mode=mode,
        schema_told=asked.schema_told,
        tools=asked.tools,
        tool_choice=asked.tool_choice,
        top_p=asked.top_p,
        seed=asked.seed,
        stop=asked.stop,
        on_delta=observer,
        on_counted=under_way.count,
        cache_key=asked.cache_key,
        longest=policy.longest,
    )


def _observer(call: Call, under_way: UnderWay) -> Callable[[Delta], None] | None:
    if call.audience.listens:
        return call.audience.hear
    # A race is about the first token, which nobody notices in a reply that comes in one piece.
    return under_way.hear if call.may_race else None


def _lost(bill: Bill, seconds: float) -> Trial:
    how = "estimated" if bill.estimated else "counted by the provider"
    fault = Fault.of(FailureKind.TIMEOUT, f"another answered first; cancelled, its tokens {how}")
    return Trial(fault, "", bill.usage, bill.cost, bill.price_table, seconds, estimated=bill.estimated)


async def _reply(provider: ModelProvider, model: str, request: ModelRequest) -> ModelReply | ModelFailure:
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
            return ModelFailure(
                FailureKind.TIMEOUT, f"no answer within the {request.limits.total:.3g} s left"
            )
        return ModelFailure(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
