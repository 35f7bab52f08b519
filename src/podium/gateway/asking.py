"""One request over one lane: sent, read and judged, and its outcome told to the traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

from podium.domain.answers import FailureKind
from podium.domain.errors import BudgetExceeded, PodiumError
from podium.domain.money import Money
from podium.gateway.budgets.purse import Purse
from podium.gateway.failures import Fault
from podium.gateway.judgement import judged
from podium.gateway.ledger import Ledger, Trial
from podium.gateway.line import Candidate, Line
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.gateway.telling import Telling
from podium.gateway.traffic import Lease
from podium.gateway.wording import well_formed
from podium.ports.models import Delta, Message, ModelFailure, ModelProvider, ModelReply, ModelRequest

# A provider keeps the deadline itself and then says what it had counted: this is for one that fails to.
_GRACE = 0.2


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way."""

    prompt: Prompt[Any]
    policy: CallPolicy
    messages: tuple[Message, ...]
    line: Line
    ledger: Ledger
    tenant: str
    telling: Telling
    purse: Purse | None = None


@dataclass(slots=True)
class FirstToken:
    """When the first token came, by `clock`; None while it has not."""

    clock: Callable[[], float]
    at: float | None = None

    def __call__(self) -> None:
        """Take note of it."""
        if self.at is None:
            self.at = self.clock()


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one request of a candidate."""

    candidate: Candidate
    lease: Lease
    trial: Trial


async def ask(
    call: Call, candidate: Candidate, lease: Lease, clock: Callable[[], float], first: FirstToken
) -> Asked:
    """Make one request with what is left of the call's deadline and budgets; tells the lease what came of it.

    When a budget has no room for it nothing is sent, and the candidate's `breach` says why.
    """
    if call.purse is None:
        return await _sent(call, candidate, lease, clock, first)
    try:
        reserved = await call.purse.before_request(
            candidate.model,
            candidate.messages,
            candidate.max_tokens,
            call.prompt.output.schema,
            call.line.deadline - clock(),
        )
    except BaseException as error:
        lease.dropped(clock())
        if not isinstance(error, BudgetExceeded):
            raise
        candidate.breach = error
        return Asked(candidate, lease, Trial(Fault.of(FailureKind.BUDGET, str(error)), sent=False))
    try:
        asked = await _sent(call, candidate, lease, clock, first)
        call.purse.after_request(reserved, candidate.model, asked.trial.cost or Money(), asked.trial.usage)
    finally:
        # Cut off in the middle: nobody knows what it came to.
        reserved.settle(None)
    return asked


async def _sent(
    call: Call, candidate: Candidate, lease: Lease, clock: Callable[[], float], first: FirstToken
) -> Asked:
    started = clock()
    route = lease.lane.route
    request = _request(call, candidate, call.line.deadline - started, first)
    candidate.requests += 1
    call.telling.begin()
    try:
        reply = await _reply(route.provider, route.model, request)
    except BaseException:
        # Cancelled: nobody is to blame.
        lease.dropped(clock())
        raise
    now = clock()
    latency = now - started
    match reply:
        case ModelReply(text=text, usage=usage, cost=cost, price_table=table):
            lease.replied(now, usage, latency, (first.at or now) - started)
            readable = replace(reply, text=well_formed(text))
            result = judged(call.prompt, readable, call.policy.longest)
            trial = Trial(result, readable.text, usage, cost, table, latency)
        case ModelFailure():
            fault = Fault.of(reply.kind, str(reply), reply.retry_after)
            lease.failed(now, fault, reply.usage, latency)
            trial = Trial(fault, "", reply.usage, reply.cost, reply.price_table, latency)
        case _:
            assert_never(reply)
    return Asked(candidate, lease, trial)


def _request(call: Call, candidate: Candidate, seconds: float, first: FirstToken) -> ModelRequest:
    return ModelRequest(
        messages=candidate.messages,
        limits=call.policy.within(seconds),
        schema=call.prompt.output.schema,
        schema_name=call.prompt.name,
        max_tokens=candidate.max_tokens,
        temperature=call.policy.temperature,
        schema_mode=call.policy.schema_mode(candidate.model),
        schema_told=True,
        on_token=first,
        on_delta=_observer(call),
    )


def _observer(call: Call) -> Callable[[Delta], None] | None:
    if call.prompt.streams:
        return call.telling.hear
    # A race is about the first token, which nobody notices in a reply that comes in one piece.
    return _ignore if call.policy.hedge else None


def _ignore(_: Delta) -> None:
    pass


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
