"""The gateway: the one path of every model call.

Candidates in order; for each a request within what is left of one deadline; its reply read, validated and
weighed; then accepted, or whatever the table in `failures.py` says of its fault. Each request goes into the
ledger as soon as it is over.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

from podium.domain.answers import Answer, AnyAnswer, FailureKind
from podium.domain.errors import PodiumError
from podium.domain.operations import Execute
from podium.gateway.conversation import opening, reasked
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted, judged
from podium.gateway.ledger import ACCEPTED, Ledger, Trial
from podium.gateway.line import Candidate, Line, Move
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.gateway.unanswered import unanswered
from podium.gateway.wording import well_formed
from podium.ports.execution import AttemptContext
from podium.ports.models import Message, ModelFailure, ModelProvider, ModelProviders, ModelReply, ModelRequest
from podium.settings.gateway import GatewaySettings

# A provider keeps the deadline itself and then says what it had counted: this is for one that fails to.
_GRACE = 0.2


@dataclass(frozen=True, slots=True)
class _Call:
    """One call on its way."""

    prompt: Prompt[Any]
    policy: CallPolicy
    messages: tuple[Message, ...]
    line: Line
    ledger: Ledger


class Gateway:
    """Executes prompts. Holds no state of its own between calls.

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
        self._providers = providers
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    async def execute(self, request: Execute, context: AttemptContext) -> AnyAnswer:
        """Return the prompt's answer.

        Raises `NoAnswer` when every candidate failed or the deadline is over, `Retryable` when a provider named
        a later time that does not fit into it.
        """
        call = self._begin(request, context)
        while (candidate := call.line.next(self._clock())) is not None:
            wait = candidate.ready_at - self._clock()
            if wait > 0:
                await self._sleep(wait)
                continue
            trial = await self._try(call, candidate)
            match trial.result:
                case Accepted():
                    call.ledger.note(candidate, trial, ACCEPTED)
                    return _answer(call, candidate, trial.result)
                case Fault():
                    self._turn(call, candidate, trial, trial.result)
                case _:
                    assert_never(trial.result)
        raise unanswered(call.prompt.reference, call.line, call.policy, self._clock())

    def _begin(self, request: Execute, context: AttemptContext) -> _Call:
        prompt: Prompt[Any] = request.target
        policy = CallPolicy.merged(self._settings, prompt.policy)
        messages = opening(prompt, request.arguments)
        line = Line(policy, messages, self._clock() + policy.timeout)
        return _Call(prompt, policy, messages, line, Ledger(context.record))

    async def _try(self, call: _Call, candidate: Candidate) -> Trial:
        found = self._find(candidate.model)
        if isinstance(found, Fault):
            return Trial(found, sent=False)
        provider, model = found
        candidate.requests += 1
        started = self._clock()
        reply = await _reply(provider, model, _request(call, candidate, call.line.deadline - started))
        latency = self._clock() - started
        match reply:
            case ModelReply(text=text, usage=usage, cost=cost, price_table=table):
                readable = replace(reply, text=well_formed(text))
                result = judged(call.prompt, readable, call.policy.longest)
                return Trial(result, readable.text, usage, cost, table, latency)
            case ModelFailure():
                fault = Fault.of(reply.kind, str(reply), reply.retry_after)
                return Trial(fault, "", reply.usage, reply.cost, reply.price_table, latency)
            case _:
                assert_never(reply)

    def _find(self, name: str) -> tuple[ModelProvider, str] | Fault:
        try:
            provider, model = self._providers.find(name)
            provider.check(model)
        except PodiumError as error:
            return Fault.of(FailureKind.UNAVAILABLE, str(error))
        except Exception as error:  # noqa: BLE001 - a broken adapter must not take the other candidates with it
            return Fault.of(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
        return provider, model

    def _turn(self, call: _Call, candidate: Candidate, trial: Trial, fault: Fault) -> None:
        move = call.line.turn(candidate, fault, self._clock(), self._jitter())
        call.ledger.note(candidate, trial, move.value)
        if move is Move.REASK:
            candidate.messages = reasked(call.messages, trial.text, fault.message)


def _request(call: _Call, candidate: Candidate, seconds: float) -> ModelRequest:
    return ModelRequest(
        messages=candidate.messages,
        limits=call.policy.within(seconds),
        schema=call.prompt.output.schema,
        schema_name=call.prompt.name,
        max_tokens=candidate.max_tokens,
        temperature=call.policy.temperature,
    )


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


def _answer(call: _Call, candidate: Candidate, accepted: Accepted) -> AnyAnswer:
    return Answer(
        value=accepted.value,
        confidence=accepted.confidence,
        quality=accepted.quality,
        model=candidate.model,
        cost=call.ledger.cost,
        usage=call.ledger.usage,
        prompt=call.prompt.reference,
        attempts=call.ledger.attempts,
    )
