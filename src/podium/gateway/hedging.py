"""Hedged requests: when the first token is unusually late, a second request races the first.

After J. Dean and L. A. Barroso, "The Tail at Scale" (CACM 56, 2013). The loser is cancelled; what it was sent has been
paid for all the same, and is written into the ledger by its estimated size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from podium.domain.answers import FailureKind, Usage
from podium.gateway.asking import Asked, FirstToken, ask
from podium.gateway.call import Call
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted
from podium.gateway.ledger import HEDGED, Trial
from podium.gateway.line import Candidate
from podium.gateway.sizes import input_tokens
from podium.gateway.traffic import Lease

Rival = Callable[[], tuple[Candidate, Lease] | None]
"""Finds whom to ask beside the one who is late, at the moment at which that is known."""


async def race(
    call: Call,
    candidate: Candidate,
    lease: Lease,
    after: float,
    rival: Rival,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> Asked:
    """Ask; if there is no token `after` seconds, ask the rival too, and return what came first and is accepted.

    The other is in the ledger when this returns. Where neither is accepted, it is the first one's failure that counts.
    """
    started = clock()
    first = FirstToken(clock)
    running = [asyncio.create_task(ask(call, candidate, lease, clock, first))]
    try:
        late = asyncio.ensure_future(sleep(after))
        try:
            await asyncio.wait({running[0], late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            late.cancel()
        other = None if running[0].done() or first.at is not None else rival()
        if other is None:
            return await running[0]
        running.append(asyncio.create_task(ask(call, *other, clock, FirstToken(clock))))
        winner = await _first_accepted(running)
        for task, (asked, permit) in zip(running, ((candidate, lease), other), strict=True):
            if task is not winner:
                await _end(call, task, asked, permit, clock() - started)
        return winner.result()
    finally:
        for task in running:
            task.cancel()


async def _first_accepted(running: list[asyncio.Task[Asked]]) -> asyncio.Task[Asked]:
    left = set(running)
    while left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            if task in done and isinstance(task.result().trial.result, Accepted):
                return task
    return running[0]


async def _end(
    call: Call, task: asyncio.Task[Asked], candidate: Candidate, lease: Lease, seconds: float
) -> None:
    if task.done():
        call.ledger.note(candidate, task.result().trial, HEDGED)
        return
    task.cancel()
    await asyncio.wait({task})
    usage = Usage(input_tokens(candidate.messages), 0)
    fault = Fault.of(FailureKind.TIMEOUT, "another answered first; cancelled, its tokens estimated")
    cost = lease.lane.route.price(usage)
    call.ledger.note(candidate, Trial(fault, "", usage, cost, latency=seconds), HEDGED)
