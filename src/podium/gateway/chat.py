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
from podium.gateway.failures import Fault
from podium.gateway.line import Candidate, Line
from podium.gateway.policy import CallPolicy, PromptPolicy
from podium.gateway.wording import one_line
from podium.ports.models import Delta, ModelFailure, ModelProviders, ModelReply, ModelRequest
from podium.settings.gateway import GatewaySettings

_GRACE = 0.2
_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply, who gave it, and what it took with all that was tried before; `cost` None when no price is known."""

    reply: ModelReply
    model: str
    usage: Usage
    cost: Money | None


class Chat:
    """Asks candidates for a message. Holds no state between calls.

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

    async def reply(self, models: Sequence[str], asked: ModelRequest) -> Replied:
        """Return the first reply that one of `models` gives; `asked.limits.total` is the deadline of all of it.

        Raises `ModelFailure` of the last candidate's kind. Once a piece of a reply has gone to `asked.on_delta`,
        nothing is asked again: whoever listens would hear two beginnings.
        """
        own = PromptPolicy(tuple(models), timeout=asked.limits.total, max_tokens=asked.max_tokens)
        policy = CallPolicy.merged(self._settings, own)
        line = Line(policy, asked.messages, self._clock() + policy.timeout)
        heard = _Heard(asked.on_delta)
        usage, cost, failure = Usage(), Money(), _nobody(models)
        while (candidate := line.next(self._clock())) is not None:
            wait = candidate.ready_at - self._clock()
            if wait > 0:
                await self._sleep(wait)
                continue
            limits = policy.within(line.deadline - self._clock())
            on_delta = heard.hear if asked.on_delta is not None else None
            result = await self._ask(candidate, replace(asked, limits=limits, on_delta=on_delta))
            usage += result.usage
            cost += result.cost or Money()
            if isinstance(result, ModelReply):
                known = result.cost is not None or bool(cost.nanos)
                return Replied(result, candidate.model, usage, cost if known else None)
            failure = result
            if heard.anything:
                break
            line.turn(
                candidate,
                Fault.of(result.kind, str(result), result.retry_after),
                self._clock(),
                self._jitter(),
            )
        raise ModelFailure(
            failure.kind,
            one_line(str(failure), _LONGEST),
            retry_after=failure.retry_after,
            usage=usage,
            cost=cost,
        )

    async def _ask(self, candidate: Candidate, request: ModelRequest) -> ModelReply | ModelFailure:
        candidate.requests += 1
        limit = asyncio.timeout(request.limits.total + _GRACE)
        try:
            async with limit:
                provider, model = self._providers.find(candidate.model)
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
    """Passes pieces on, and knows whether there were any."""

    def __init__(self, listener: Callable[[Delta], None] | None) -> None:
        self._listener = listener
        self.anything = False

    def hear(self, delta: Delta) -> None:
        self.anything = True
        if self._listener is not None:
            self._listener(delta)


def _nobody(models: Sequence[str]) -> ModelFailure:
    return ModelFailure(FailureKind.TIMEOUT, f"there was no time to ask {', '.join(models)}")
