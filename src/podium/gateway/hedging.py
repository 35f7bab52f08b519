"""Hedged requests: when the first token is unusually late, a second request races the first.

After J. Dean and L. A. Barroso, "The Tail at Scale" (CACM 56, 2013). The loser is cancelled; what it was sent, and
has written, is paid for all the same: as the provider counted it where it did, else by its estimated size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from podium.gateway.asking import Asked, ask
from podium.gateway.call import Call
from podium.gateway.judgement import Accepted
from podium.gateway.ledger import HEDGED
from podium.gateway.line import Candidate
from podium.gateway.traffic import Lease
from podium.gateway.under_way import UnderWay

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
    requests = [UnderWay(clock)]
    running = [asyncio.create_task(ask(call, candidate, lease, clock, requests[0]))]
    try:
        late = asyncio.ensure_future(sleep(after))
        try:
            await asyncio.wait({running[0], late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            late.cancel()
        other = None if running[0].done() or requests[0].first_at is not None else rival()
        if other is None:
            return await running[0]
        requests.append(UnderWay(clock))
        running.append(asyncio.create_task(ask(call, *other, clock, requests[1])))
        winner = await _first_accepted(running)
        for task, request in zip(running, requests, strict=True):
            if task is not winner:
                await _end(call, task, request)
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


async def _end(call: Call, task: asyncio.Task[Asked], request: UnderWay) -> None:
    if not task.done():
        request.lost = True
        task.cancel()
        await asyncio.wait({task})
    # Cut off before it was sent it has come to nothing.
    if not task.cancelled() and task.exception() is None:
        asked = task.result()
        call.ledger.note(asked.candidate, asked.trial, HEDGED)
