"""A conversation's next message, asked for from outside: the same path as a prompt's, judged by a schema alone.

What a client of the server asks for is the client's business: a reply that was cut off or refused is handed on as such.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podium.domain.answers import FailureKind, Usage
from podium.domain.gateway_status import GatewayStatus
from podium.domain.money import Money
from podium.domain.policies import PromptPolicy
from podium.domain.quality import Quality
from podium.domain.runs import DEFAULT_TENANT
from podium.gateway.call import Call, Judge
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted
from podium.gateway.ledger import Ledger
from podium.gateway.line import Line
from podium.gateway.output.schema import SchemaJudge
from podium.gateway.path import PolicyPath
from podium.gateway.policy import CallPolicy
from podium.gateway.status import status_of
from podium.gateway.timing import Timing
from podium.ports.models import Delta, ModelFailure, ModelProviders, ModelReply, ModelRequest
from podium.settings.gateway import GatewaySettings

_AS_SAID = Quality()


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
        self._path = PolicyPath(providers, settings, Timing(clock, sleep, jitter))
        self.traffic = self._path.traffic
        self._settings = settings
        self._clock = clock
        # Schemas of strangers get one thread: more would only take turns with it.
        self._thread = asyncio.Semaphore(1)

    async def reply(
        self, models: Sequence[str], asked: ModelRequest, tenant: str = DEFAULT_TENANT
    ) -> Replied:
        """Return the first reply that one of `models` gives; `asked.limits.total` is the deadline of all of it.

        Where there is a schema, the text is JSON of it, or the model is asked again, then the next. Nobody hears pieces
        of it, which could not be taken back. Raises `InvalidInput` for what is no schema.

        Raises `ModelFailure` of the last candidate's kind. Once a piece of a reply has gone to `asked.on_delta`,
        nothing is asked again: whoever listens would hear two beginnings.
        """
        own = PromptPolicy(tuple(models), timeout=asked.limits.total, max_tokens=asked.max_tokens)
        # A client would rather be told to come back.
        policy = replace(CallPolicy.merged(self._settings, own), outlasts_breakers=False)
        now = self._clock()
        self.traffic.called(now)
        judge: Judge = _as_said
        if asked.schema is not None:
            judge, asked = await self._judge(asked.schema, policy.longest), replace(asked, on_delta=None)
        line, ledger = Line(policy, asked.messages, now + policy.timeout), Ledger()
        call = Call(asked, policy, line, ledger, _Listener(asked.on_delta), judge, tenant, patient=True)
        found = await self._path.follow(call)
        usage, cost = ledger.usage, ledger.cost
        if found is None:
            raise _failure(line, models, usage, cost, self._clock())
        candidate, accepted = found
        reply: ModelReply = accepted.value
        known = reply.cost is not None or bool(cost.nanos)
        return Replied(reply, candidate.model, usage, cost if known else None)

    async def _judge(self, schema: Mapping[str, Any], longest: int) -> Judge:
        """Return what judges by `schema`, off the event loop: a stranger decides how long it takes."""
        async with self._thread:
            judge = await asyncio.to_thread(SchemaJudge, schema, longest)

        async def judged(reply: ModelReply) -> Accepted | Fault:
            async with self._thread:
                return await asyncio.to_thread(judge, reply)

        return judged

    def status(self, *, at: float, pid: int) -> GatewayStatus:
        """Return how things stand with the providers, `at` being now in seconds since the epoch."""
        return status_of(self.traffic, self._settings.retry_budget, now=self._clock(), at=at, pid=pid)


async def _as_said(reply: ModelReply) -> Accepted | Fault:
    return Accepted(reply, _AS_SAID, None)


def _failure(line: Line, models: Sequence[str], usage: Usage, cost: Money, now: float) -> ModelFailure:
    fault = Fault(FailureKind.TIMEOUT, f"there was no time to ask {', '.join(models)}")
    if line.latest is not None:
        fault = line.latest[1]
    wait = fault.retry_after
    if fault.kind is FailureKind.BREAKER_OPEN and wait is not None:
        # Of several, the one that may be asked first.
        held = [each.held.until for each in line.candidates if each.held is not None]
        wait = max(min([now + wait, *held]) - now, 0.0)
    return ModelFailure(fault.kind, fault.message, retry_after=wait, usage=usage, cost=cost)


class _Listener:
    """Passes pieces on, which cannot be taken back."""

    def __init__(self, listener: Callable[[Delta], None] | None) -> None:
        self._listener = listener
        self.bound = False

    @property
    def listens(self) -> bool:
        """Whether there is anybody."""
        return self._listener is not None

    def begin(self) -> None:
        """Nothing was heard so far, or nothing would be asked any more."""

    def hear(self, delta: Delta) -> None:
        """Pass on a piece."""
        self.bound = True
        if self._listener is not None:
            self._listener(delta)
