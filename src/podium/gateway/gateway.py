"""The gateway of prompts: an answer that is kept is given again; else one is asked for along the policy path."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from podium.domain.answers import Answer, AnyAnswer
from podium.domain.gateway_status import GatewayStatus
from podium.domain.operations import Execute
from podium.domain.policies import PromptPolicy
from podium.domain.retries import RetryPolicy
from podium.gateway.budgets.purse import Purses
from podium.gateway.cache.answers import AnswerCache, Earlier, Question, told
from podium.gateway.cache.key import cache_key
from podium.gateway.cache.similar import SimilarAnswers, wording
from podium.gateway.call import Call
from podium.gateway.conversation import asked_of
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted, judged
from podium.gateway.ledger import Ledger
from podium.gateway.line import Candidate, Line
from podium.gateway.outage import Unmet, bridged
from podium.gateway.path import PolicyPath
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.gateway.status import status_of
from podium.gateway.telling import Telling
from podium.gateway.timing import Timing
from podium.gateway.versions import PromptUses
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelProviders, ModelReply
from podium.ports.stale import NoStaleAnswers, StaleAnswers
from podium.settings.gateway import GatewaySettings

_VERIFYING: Final = 0.5
"""The part of a call's time in which an answer to a similar question must be verified."""


class Gateway:
    """Executes prompts. What it learns of providers is in `traffic`, shared by all calls; nothing else is kept.

    `workflows` are the policies of workflows by name. `purses` keeps calls within budgets, `cache` gives answers again,
    `similar` to similar questions too, `uses` takes note of prompt versions; without them nothing does. `stale` finds earlier answers that the cache has
    not got. `clock` gives seconds that
    only grow, `sleep` waits for seconds, `jitter` gives random numbers from 0 to 1.
    """

    def __init__(  # noqa: PLR0913 - options by name
        self,
        providers: ModelProviders,
        settings: GatewaySettings,
        *,
        workflows: Mapping[str, PromptPolicy] | None = None,
        stale: StaleAnswers | None = None,
        purses: Purses | None = None,
        cache: AnswerCache | None = None,
        similar: SimilarAnswers | None = None,
        uses: PromptUses | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._path = PolicyPath(providers, settings, Timing(clock, sleep, jitter))
        self.traffic = self._path.traffic
        self._settings = settings
        self._workflows = workflows or {}
        self._stale = stale or NoStaleAnswers()
        self._purses = purses
        self._cache = cache
        self._similar = similar
        self._uses = uses
        self._clock = clock

    async def execute(self, request: Execute, context: AttemptContext) -> AnyAnswer:
        """Return the prompt's answer, or the degraded one that its policy has for an outage.

        Raises `NoAnswer` when every candidate failed or the deadline is over, `ModelsUnavailable` when none could
        even be asked, `BudgetExceeded` when there is no room for any, `Retryable` when a provider named a later time that does not fit into the deadline.
        """
        prompt: Prompt[Any] = request.target
        if self._uses is not None:
            self._uses.note(prompt, context.tenant)
        telling = Telling(context, prompt.streams)
        call = self._begin(request, context, telling)
        ask_models = partial(self._asked, prompt, call, telling)
        fresh_for = self._settings.cache if prompt.cache is None else prompt.cache
        if self._cache is None or not fresh_for:
            return await ask_models(self._stale)
        key = cache_key(prompt, call.policy, call.asked.messages, context.tenant)
        question = Question(key, prompt.reference, prompt.codec, fresh_for, call.policy.timeout)
        began = self._clock()
        ask_or_bridge = partial(ask_models, Earlier(self._cache, question))
        asked = None if self._similar is None else wording(prompt, call, question, request.arguments)
        if self._similar is not None and asked is not None:
            ask_prompt = partial(self._ask_prompt, call.ledger, context)
            seconds = call.policy.timeout * _VERIFYING
            ask_or_bridge = partial(self._similar.answer, asked, ask_prompt, seconds, ask_or_bridge)
        answer, was_kept = await self._cache.answer(question, ask_or_bridge)
        if was_kept:
            answer, attempt = told(answer, self._clock() - began)
            context.record(attempt)
            telling.whole(prompt.output.written(answer.value))
        return answer

    async def _ask_prompt(
        self, ledger: Ledger, context: AttemptContext, prompt: Prompt[Any], variables: Mapping[str, object]
    ) -> AnyAnswer:
        inside = replace(context, record=ledger.take)
        return await self.execute(Execute(prompt, variables, RetryPolicy()), inside)

    def status(self, *, at: float, pid: int) -> GatewayStatus:
        """Return how things stand with the providers, `at` being now in seconds since the epoch."""
        return status_of(self.traffic, self._settings.retry_budget, now=self._clock(), at=at, pid=pid)

    def _begin(self, request: Execute, context: AttemptContext, telling: Telling) -> Call:
        prompt: Prompt[Any] = request.target
        policy = CallPolicy.merged(self._settings, prompt.policy, self._workflows.get(context.workflow))
        asked = asked_of(prompt, request.arguments, policy)
        now = self._clock()
        self.traffic.called(now)
        return Call(
            asked,
            policy,
            Line(policy, asked.messages, now + policy.timeout),
            Ledger(context.record),
            telling,
            partial(_judged, prompt, policy.longest),
            context.tenant,
            purse=None if self._purses is None else self._purses.purse(prompt, context),
        )

    async def _asked(
        self, prompt: Prompt[Any], call: Call, telling: Telling, stale: StaleAnswers
    ) -> AnyAnswer:
        found = await self._path.follow(call)
        if found is not None:
            return _answer(prompt, call, *found)
        broken = telling.broken_off(prompt.reference, call.line)
        if broken is not None:
            raise broken
        _require_means(call.line)
        answer = await bridged(Unmet(prompt, call), stale, self._clock())
        telling.whole(prompt.output.written(answer.value))
        return answer


async def _judged(prompt: Prompt[Any], longest: int, reply: ModelReply) -> Accepted | Fault:
    return judged(prompt, reply, longest)


def _require_means(line: Line) -> None:
    """Raise `BudgetExceeded` when it was budgets that ended the call."""
    breaches = [each.breach for each in line.candidates if each.breach is not None]
    final = next((breach for breach in breaches if not breach.cheaper), None)
    if final is not None or (breaches and len(breaches) == len(line.candidates)):
        raise final or breaches[-1]


def _answer(prompt: Prompt[Any], call: Call, candidate: Candidate, accepted: Accepted) -> AnyAnswer:
    return Answer(
        value=accepted.value,
        confidence=accepted.confidence,
        quality=accepted.quality,
        model=candidate.model,
        cost=call.ledger.cost,
        usage=call.ledger.usage,
        prompt=prompt.reference,
        attempts=call.ledger.attempts,
    )
