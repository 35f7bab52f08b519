"""The gateway: the one path of every model call.

An answer that is kept is given again. Else candidates in order; for each the permission to ask it, a request within what is left of one deadline; its reply
read, validated and weighed; then accepted, or whatever the table in `failures.py` says of its fault. Each request goes
into the ledger as soon as it is over.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, assert_never

from podium.domain.answers import Answer, AnyAnswer, FailureKind
from podium.domain.errors import PodiumError
from podium.domain.gateway_status import GatewayStatus
from podium.domain.operations import Execute
from podium.domain.policies import PromptPolicy
from podium.gateway.asking import Asked, Call, FirstToken, ask
from podium.gateway.budgets.purse import Purses
from podium.gateway.cache.answers import AnswerCache, Earlier, Question, told
from podium.gateway.cache.key import cache_key
from podium.gateway.conversation import opening, reasked
from podium.gateway.failures import Fault
from podium.gateway.health.breaker import COUNTS, OPENS_AT_ONCE
from podium.gateway.hedging import race
from podium.gateway.judgement import Accepted
from podium.gateway.ledger import ACCEPTED, Ledger, Trial
from podium.gateway.line import Candidate, Line, Means, Move
from podium.gateway.outage import Unmet, bridged
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.gateway.sizes import input_tokens
from podium.gateway.status import status_of
from podium.gateway.telling import Telling
from podium.gateway.traffic import Held, Lease, Traffic, Wish
from podium.gateway.versions import PromptUses
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelProviders
from podium.ports.stale import NoStaleAnswers, StaleAnswers
from podium.settings.gateway import GatewaySettings


class Gateway:
    """Executes prompts. What it learns of providers is in `traffic`, shared by all calls; nothing else is kept.

    `workflows` are the policies of workflows by name. `purses` keeps calls within budgets, `cache` gives answers again,
    `uses` takes note of prompt versions; without them nothing does. `stale` finds earlier answers that the cache has
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
        uses: PromptUses | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.traffic = Traffic(settings)
        self._providers = providers
        self._settings = settings
        self._workflows = workflows or {}
        self._stale = stale or NoStaleAnswers()
        self._purses = purses
        self._cache = cache
        self._uses = uses
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    async def execute(self, request: Execute, context: AttemptContext) -> AnyAnswer:
        """Return the prompt's answer, or the degraded one that its policy has for an outage.

        Raises `NoAnswer` when every candidate failed or the deadline is over, `ModelsUnavailable` when none could
        even be asked, `BudgetExceeded` when there is no room for any, `Retryable` when a provider named a later time that does not fit into the deadline.
        """
        prompt: Prompt[Any] = request.target
        if self._uses is not None:
            self._uses.note(prompt, context.tenant)
        call = self._begin(request, context)
        fresh_for = self._settings.cache if prompt.cache is None else prompt.cache
        if self._cache is None or not fresh_for:
            return await self._answered(call, self._stale)
        key = cache_key(prompt, call.policy, call.messages, context.tenant)
        question = Question(key, prompt.reference, prompt.codec, fresh_for, call.policy.timeout)
        began = self._clock()
        ask_models = partial(self._answered, call, Earlier(self._cache, question))
        answer, was_kept = await self._cache.answer(question, ask_models)
        if was_kept:
            answer, attempt = told(answer, self._clock() - began)
            context.record(attempt)
        return answer

    async def _answered(self, call: Call, stale: StaleAnswers) -> AnyAnswer:
        line, ledger = call.line, call.ledger
        while (candidate := line.next(now := self._clock())) is not None:
            if candidate.ready_at > now:
                await self._wait(call, candidate, now)
                continue
            lease = self._admit(call, candidate, now)
            match lease:
                case Fault():
                    self._turn(call, candidate, None, Trial(lease, sent=False), lease)
                    continue
                case Held():
                    self._hold(call, candidate, lease)
                    continue
                case Lease():
                    pass
                case _:
                    assert_never(lease)
            asked = await self._ask(call, candidate, lease)
            candidate, trial = asked.candidate, asked.trial
            match trial.result:
                case Accepted():
                    self.traffic.budget(asked.lease.lane.route).succeeded(candidate.price)
                    ledger.note(candidate, replace(trial, note=_note(asked)), ACCEPTED)
                    return _answer(call, candidate, trial.result)
                case Fault():
                    self._require_unheard(call, candidate, trial, trial.result)
                    self._turn(call, candidate, asked.lease, trial, trial.result)
                case _:
                    assert_never(trial.result)
        breaches = [each.breach for each in line.candidates if each.breach is not None]
        if breaches and len(breaches) == len(line.candidates):
            raise breaches[-1]
        unmet = Unmet(call.prompt, call.policy, call.messages, line, ledger, call.tenant)
        return await bridged(unmet, stale, self._clock())

    def status(self, *, at: float, pid: int) -> GatewayStatus:
        """Return how things stand with the providers, `at` being now in seconds since the epoch."""
        return status_of(self.traffic, self._settings.retry_budget, now=self._clock(), at=at, pid=pid)

    def _begin(self, request: Execute, context: AttemptContext) -> Call:
        prompt: Prompt[Any] = request.target
        policy = CallPolicy.merged(self._settings, prompt.policy, self._workflows.get(context.workflow))
        messages = opening(prompt, request.arguments)
        now = self._clock()
        self.traffic.called(now)
        line = Line(policy, messages, now + policy.timeout)
        purse = None if self._purses is None else self._purses.purse(prompt, context)
        ledger, telling = Ledger(context.record), Telling(context)
        return Call(prompt, policy, messages, line, ledger, context.tenant, telling, purse)

    async def _wait(self, call: Call, candidate: Candidate, now: float) -> None:
        if not candidate.yields:
            # Of what use is it to wait for one's turn where nobody will be let through then?
            opens_at = self.traffic.opens_at(candidate.routes, candidate.refused, now)
            if opens_at > candidate.ready_at:
                held = self._admit(call, candidate, now)
                if isinstance(held, Held):
                    self._hold(call, candidate, held)
                    return
                if isinstance(held, Lease):
                    held.dropped(now)
        seconds = min(candidate.ready_at, call.line.deadline) - now
        if candidate.held is not None and candidate.held.places is not None:
            await candidate.held.places.freed(seconds)
            candidate.ready_at = 0.0
        else:
            await self._sleep(seconds)
        if candidate.held is not None:
            candidate.waited += self._clock() - now

    def _admit(self, call: Call, candidate: Candidate, now: float) -> Lease | Held | Fault:
        try:
            candidate.routes = candidate.routes or self._providers.routes(candidate.model)
            candidate.routes[0].provider.check(candidate.routes[0].model)
        except PodiumError as error:
            return Fault.of(FailureKind.UNAVAILABLE, str(error))
        except Exception as error:  # noqa: BLE001 - a broken adapter must not take the other candidates with it
            return Fault.of(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
        wish = Wish(
            input_tokens(candidate.messages) + candidate.max_tokens,
            call.tenant,
            call.line.deadline,
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

    def _hold(self, call: Call, candidate: Candidate, held: Held) -> None:
        is_new = candidate.held is None or candidate.held.kind is not held.kind
        move = call.line.hold(candidate, held)
        if is_new or move is not Move.WAIT:
            trial = Trial(Fault.of(held.kind, held.message), sent=False)
            call.ledger.note(candidate, trial, move.value)

    async def _ask(self, call: Call, candidate: Candidate, lease: Lease) -> Asked:
        after = (
            self.traffic.hedge_after(lease.lane) if call.policy.hedge and not call.prompt.streams else None
        )
        if after is None:
            return await ask(call, candidate, lease, self._clock, FirstToken(self._clock))

        def rival() -> tuple[Candidate, Lease] | None:
            return self._rival(call, candidate, lease)

        return await race(call, candidate, lease, after, rival, self._clock, self._sleep)

    def _rival(self, call: Call, candidate: Candidate, lease: Lease) -> tuple[Candidate, Lease] | None:
        now = self._clock()
        if not self.traffic.may_hedge(now):
            return None
        mine = lease.lane.route.credential
        same = replace(candidate, refused={*candidate.refused, mine}, extra=True)
        for other in (*call.line.others(candidate), same):
            permit = self._admit(call, other, now)
            if isinstance(permit, Lease):
                self.traffic.hedged(now)
                return (candidate if other is same else other), permit
        return None

    def _require_unheard(self, call: Call, candidate: Candidate, trial: Trial, fault: Fault) -> None:
        broken = call.telling.broken_off(call.prompt.reference, candidate.model, fault)
        if broken is not None:
            call.ledger.note(candidate, trial, Move.FAIL.value)
            raise broken

    def _turn(
        self, call: Call, candidate: Candidate, lease: Lease | None, trial: Trial, fault: Fault
    ) -> None:
        if candidate.breach is not None and not candidate.breach.cheaper:
            call.ledger.note(candidate, trial, Move.FAIL.value)
            raise candidate.breach
        now = self._clock()
        elsewhere = False
        if lease is not None:
            route = lease.lane.route
            if fault.kind in COUNTS:
                # What a service fails to do falls upon the next ones, which need not be able to bear it.
                for other in call.line.others(candidate):
                    other.extra = True
                avoided = candidate.refused if fault.kind in OPENS_AT_ONCE else candidate.shunned
                avoided.add(route.credential)
            avoided = candidate.refused | candidate.shunned
            elsewhere = len(candidate.routes) > 1 and self.traffic.has_other(candidate.routes, avoided, now)

        def buy(throttled: bool) -> int:  # noqa: FBT001 - the one argument there is
            if lease is None:
                return 1
            return self.traffic.budget(lease.lane.route).spend(now, throttled=throttled)

        def takes_more(other: Candidate) -> bool:
            return self._takes_more(other, candidate)

        move = call.line.turn(candidate, fault, now, self._jitter(), Means(elsewhere, buy, takes_more))
        call.ledger.note(candidate, trial, move.value)
        if move is Move.REASK:
            candidate.messages = reasked(call.messages, trial.text, fault.message)

    def _takes_more(self, other: Candidate, than: Candidate) -> bool:
        """Return whether `other` is another model, and not one that is known to take no more."""
        try:
            routes = other.routes or self._providers.routes(other.model)
        except Exception:  # noqa: BLE001 - it will be said when it is asked
            return True
        if routes[0].model == than.routes[0].model:
            return False
        mine, theirs = self._window(than), self._window(replace(other, routes=routes))
        return mine is None or theirs is None or theirs > mine

    def _window(self, candidate: Candidate) -> int | None:
        declared = self._settings.context_windows.get(candidate.model)
        return declared if declared is not None else candidate.routes[0].window()


def _note(asked: Asked) -> str:
    candidate = asked.candidate
    said = [f"waited {candidate.waited:.1f} s"] if candidate.waited else []
    if len(candidate.routes) > 1:
        said.append(f"with {asked.lease.lane.route.credential}")
    return ", ".join(said)


def _answer(call: Call, candidate: Candidate, accepted: Accepted) -> AnyAnswer:
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
