"""Admission: whether a candidate may be asked now, and the wait where it may be asked later."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from podium.domain.answers import FailureKind
from podium.domain.errors import PodiumError, RecordingUnusable
from podium.gateway.failures import Fault
from podium.gateway.sizes import input_tokens
from podium.gateway.timing import Timing
from podium.gateway.traffic import Held, Lease, Traffic, Wish
from podium.ports.models import ModelProviders
from podium.settings.gateway import GatewaySettings

if TYPE_CHECKING:
    from podium.gateway.asking import Asked
    from podium.gateway.call import Call
    from podium.gateway.line import Candidate


class Admission:
    """Lets requests through to providers, by breakers and limits."""

    def __init__(self, providers: ModelProviders, settings: GatewaySettings, timing: Timing) -> None:
        self.traffic = Traffic(settings)
        self._providers = providers
        self._settings = settings
        self._clock = timing.clock
        self._sleep = timing.sleep

    def admit(self, call: Call, candidate: Candidate, now: float) -> Lease | Held | Fault:
        """Return the permission to make the candidate's next request, why there is none yet, or why there is none."""
        try:
            candidate.routes = candidate.routes or self._providers.routes(candidate.model)
            candidate.routes[0].provider.check(candidate.routes[0].model)
        except RecordingUnusable as error:
            # Of the class that ends the call: no other candidate shall answer in place of a recording.
            return Fault.of(FailureKind.BAD_REQUEST, str(error))
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
            call.line.waiter,
        )
        permit = self.traffic.admit(candidate.routes, wish, now)
        if isinstance(permit, Lease):
            candidate.held = None
            self.served(call)
            if not candidate.price:
                self.traffic.budget(permit.lane.route).request(now)
        return permit

    async def load(self, call: Call, candidate: Candidate) -> None:
        """Have loaded what the candidate's provider needs, which does not count against the call's deadline."""
        if candidate.loaded:
            return
        candidate.loaded = True
        began = self._clock()
        # Whatever is wrong with it is said when it is asked.
        with contextlib.suppress(Exception):
            candidate.routes = candidate.routes or self._providers.routes(candidate.model)
            candidate.routes[0].provider.check(candidate.routes[0].model)
            for route in candidate.routes:
                await route.load()
        call.line.deadline += self._clock() - began

    async def wait(self, call: Call, candidate: Candidate, now: float) -> None:
        """Wait until the candidate is ready, as far as is known now, or the deadline is over."""
        if not candidate.yields:
            # Of what use is it to wait for one's turn where nobody will be let through then?
            opens_at = self.traffic.opens_at(candidate.routes, candidate.refused, now)
            if opens_at > candidate.ready_at:
                candidate.ready_at = 0.0
                return
        seconds = min(candidate.ready_at, call.line.deadline) - now
        held = candidate.held
        if held is not None and held.queues:
            await self._wait_in_line(call, held, seconds)
        else:
            if call.line.waiter is not None:
                call.line.waiter.leave()
            await self._sleep(seconds)
        if held is not None:
            candidate.waited += self._clock() - now

    def served(self, call: Call) -> None:
        """Let others have the call's turns: it waits no more for room under a limit, served or not."""
        if call.line.waiter is not None:
            call.line.waiter.leave()
            call.line.waiter = None

    async def _wait_in_line(self, call: Call, held: Held, seconds: float) -> None:
        line = call.line
        waiter = line.waiter = line.waiter or self.traffic.limiter.arrive()
        queued = line.queued()
        told = waiter.stand_in(queue for each in queued if each.held for queue in each.held.queues)
        if held.is_known and waiter.is_first:
            room = asyncio.ensure_future(self._sleep(seconds))
            try:
                await asyncio.wait({told, room}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                room.cancel()
        else:
            # How long those ahead take nobody knows: told is whoever has become the first.
            await asyncio.wait({told}, timeout=seconds)
        # It keeps its turn until it has looked whether there is room.
        for each in queued:
            each.ready_at = 0.0

    def succeeded(self, asked: Asked) -> None:
        """Take note that a request came to something, for the retry budget."""
        if asked.lease is not None:
            self.traffic.budget(asked.lease.lane.route).succeeded(asked.candidate.price)

    def rival(self, call: Call, candidate: Candidate, lease: Lease) -> tuple[Candidate, Lease] | None:
        """Return whom to ask beside a candidate who is late, and the permission to; None where nobody may be."""
        now = self._clock()
        if not self.traffic.may_hedge(now):
            return None
        mine = lease.lane.route.credential
        same = replace(candidate, refused={*candidate.refused, mine}, extra=True)
        for other in (*call.line.others(candidate), same):
            permit = self.admit(call, other, now)
            if isinstance(permit, Lease):
                self.traffic.hedged(now)
                return (candidate if other is same else other), permit
        return None

    def takes_more(self, other: Candidate, than: Candidate) -> bool:
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
