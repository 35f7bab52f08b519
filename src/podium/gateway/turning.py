"""What follows when a candidate cannot be asked, or gave nothing that may be used."""

from __future__ import annotations

from podium.gateway.admission import Admission
from podium.gateway.asking import Asked
from podium.gateway.call import Call
from podium.gateway.conversation import reasked
from podium.gateway.failures import Fault
from podium.gateway.health.breaker import COUNTS, OPENS_AT_ONCE
from podium.gateway.ledger import Trial
from podium.gateway.line import Candidate, Means, Move
from podium.gateway.timing import Timing
from podium.gateway.traffic import Held


class Turning:
    """Moves calls on: what the line decides is carried out and written into the ledger."""

    def __init__(self, admission: Admission, timing: Timing) -> None:
        self._admission = admission
        self._traffic = admission.traffic
        self._clock = timing.clock
        self._jitter = timing.jitter

    def hold(self, call: Call, candidate: Candidate, held: Held) -> None:
        """Let the others go first, until the candidate may be asked."""
        is_new = candidate.held is None or candidate.held.kind is not held.kind
        now = self._clock()
        fault = Fault.of(held.kind, held.message, held.until - now)
        move = call.line.hold(candidate, held, fault, now)
        if is_new or move is not Move.WAIT:
            call.ledger.note(candidate, Trial(fault, sent=False), move.value)

    def turn(self, call: Call, asked: Asked, fault: Fault) -> None:
        """Ask again, ask another, or give up: as the fault says, and as far as there are means for it."""
        candidate = asked.candidate
        is_broke = candidate.breach is not None and not candidate.breach.cheaper
        if is_broke or call.audience.bound:
            move = call.line.give_up(candidate, fault)
        else:
            now = self._clock()
            move = call.line.turn(candidate, fault, now, self._jitter(), self._means(call, asked, fault, now))
        call.ledger.note(candidate, asked.trial, move.value)
        if move is Move.REASK:
            candidate.messages = reasked(call.asked.messages, asked.trial.text, fault.message)

    def _means(self, call: Call, asked: Asked, fault: Fault, now: float) -> Means:
        candidate, lease = asked.candidate, asked.lease

        def takes_more(other: Candidate) -> bool:
            return self._admission.takes_more(other, candidate)

        if lease is None:
            return Means(elsewhere=False, buy=lambda _: 1, takes_more=takes_more)
        route = lease.lane.route
        if fault.kind in COUNTS:
            # What a service fails to do falls upon the next ones, which need not be able to bear it.
            for other in call.line.others(candidate):
                other.extra = True
            avoided = candidate.refused if fault.kind in OPENS_AT_ONCE else candidate.shunned
            avoided.add(route.credential)
        avoided = candidate.refused | candidate.shunned
        elsewhere = len(candidate.routes) > 1 and self._traffic.has_other(candidate.routes, avoided, now)

        def buy(throttled: bool) -> int:  # noqa: FBT001 - the one argument there is
            return self._traffic.budget(route).spend(now, throttled=throttled)

        return Means(elsewhere, buy, takes_more)
