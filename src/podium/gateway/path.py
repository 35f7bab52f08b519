"""The policy path: the one way of every model call, whoever makes it.

A prompt (`gateway.py`) and a client's conversation (`chat.py`) differ in what is asked, how a reply is judged and who
listens; all else is here, a stage to a module:

    cache                                  cache/answers.py, before the path
    order candidates                       line.py, by the rules of failures.py
    breaker, rate limit                    admission.py, over traffic.py with health/ and limits/
    reserve budget, attempt, settle        asking.py, hedging.py, budgets/
    parse, repair, validate, confidence    judgement.py, output/, confidence.py
    re-ask, next candidate, fail           turning.py
    record                                 ledger.py
"""

from __future__ import annotations

from typing import assert_never

from podium.gateway.admission import Admission
from podium.gateway.asking import Asked, ask
from podium.gateway.call import Call
from podium.gateway.failures import Fault
from podium.gateway.hedging import race
from podium.gateway.judgement import Accepted
from podium.gateway.ledger import ACCEPTED, Trial
from podium.gateway.line import Candidate
from podium.gateway.timing import Timing
from podium.gateway.traffic import Held, Lease
from podium.gateway.turning import Turning
from podium.gateway.under_way import UnderWay
from podium.ports.models import ModelProviders
from podium.settings.gateway import GatewaySettings


class PolicyPath:
    """Leads calls to an answer. What it learns of providers is in `traffic`, shared by all of them."""

    def __init__(self, providers: ModelProviders, settings: GatewaySettings, timing: Timing) -> None:
        self._clock, self._sleep = timing.clock, timing.sleep
        self._admission = Admission(providers, settings, timing)
        self._turning = Turning(self._admission, timing)
        self.traffic = self._admission.traffic

    async def follow(self, call: Call) -> tuple[Candidate, Accepted] | None:
        """Return the first reply that may be used and who gave it; None when nobody is left, or the time is over.

        Why nobody is left is in the call's line; what was tried is in its ledger.
        """
        try:
            return await self._followed(call)
        finally:
            self._admission.served(call)

    async def _followed(self, call: Call) -> tuple[Candidate, Accepted] | None:
        while (candidate := call.line.next(now := self._clock())) is not None:
            if candidate.ready_at > now:
                await self._admission.wait(call, candidate, now)
                continue
            await self._admission.load(call, candidate)
            permit = self._admission.admit(call, candidate, self._clock())
            match permit:
                case Held():
                    self._turning.hold(call, candidate, permit)
                    continue
                case Fault():
                    asked = Asked(candidate, None, Trial(permit, sent=False))
                case Lease():
                    asked = await self._ask(call, candidate, permit)
                case _:
                    assert_never(permit)
            match asked.trial.result:
                case Accepted() as accepted:
                    self._admission.succeeded(asked)
                    call.ledger.note(asked.candidate, asked.trial, ACCEPTED, asked.note)
                    return asked.candidate, accepted
                case Fault() as fault:
                    self._turning.turn(call, asked, fault)
                case _:
                    assert_never(asked.trial.result)
        return None

    async def _ask(self, call: Call, candidate: Candidate, lease: Lease) -> Asked:
        after = self.traffic.hedge_after(lease.lane) if call.may_race else None
        if after is None:
            return await ask(call, candidate, lease, self._clock, UnderWay(self._clock))

        def rival() -> tuple[Candidate, Lease] | None:
            return self._admission.rival(call, candidate, lease)

        return await race(call, candidate, lease, after, rival, self._clock, self._sleep)
