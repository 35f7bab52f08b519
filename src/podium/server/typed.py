"""The typed lane: what is asked goes to the gateway's candidates, what they say is written in the client's format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from podium.domain.requests import Lane
from podium.gateway.chat import Replied
from podium.ports.models import CallLimits, Delta, ModelFailure, ModelRequest
from podium.server.call import ModelCall
from podium.server.discretion import for_client
from podium.server.errors import ApiError, of_failure
from podium.server.http import EVENTS


class Writer(Protocol):
    """Writes a reply as the events of a stream, in the client's format."""

    def opening(self) -> bytes:
        """Return the first events."""
        ...

    def pieces(self, deltas: Sequence[Delta]) -> bytes:
        """Return the events of some pieces of the reply."""
        ...

    def closing(self, replied: Replied) -> bytes:
        """Return the last events of a reply, and of all of it that came without pieces."""
        ...

    def failure(self, error: ApiError) -> bytes:
        """Return the last event of a reply that failed on its way."""
        ...


def limits_of(call: ModelCall) -> CallLimits:
    """Return the deadlines of a call; those inside one request come from the gateway's settings."""
    gateway = call.serving.settings.gateway
    total = call.exchange.settings.total
    return CallLimits(total, gateway.connect, gateway.first_token, gateway.stall)


async def whole(call: ModelCall, request: ModelRequest) -> Replied:
    """Return the reply, put down in the call's account; raises `ModelFailure`."""
    call.account.lane = Lane.TYPED
    # Until it is known: what was asked for may be generated, whatever becomes of the request.
    call.account.usage = None
    replied = await call.serving.chat.reply(call.target.models, request, call.account.tenant)
    _put_down(call, replied)
    return replied


async def pieces(call: ModelCall, request: ModelRequest) -> AsyncGenerator[list[Delta] | Replied, None]:
    """Yield what has come of the reply since the last time, then the whole; raises `ModelFailure`."""
    call.account.lane = Lane.TYPED
    call.account.usage = None
    come: list[Delta] = []
    news = asyncio.Event()

    def hear(delta: Delta) -> None:
        come.append(delta)
        news.set()

    heard = replace(request, on_delta=hear)
    task = asyncio.ensure_future(call.serving.chat.reply(call.target.models, heard, call.account.tenant))
    task.add_done_callback(lambda _: news.set())
    try:
        while not task.done():
            await news.wait()
            news.clear()
            if come:
                batch, come[:] = list(come), []
                if call.account.first_token is None:
                    call.account.first_token = call.exchange.elapsed
                yield batch
        replied = task.result()
        _put_down(call, replied)
        yield replied
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def tell(call: ModelCall, request: ModelRequest, writer: Writer) -> None:
    """Answer with a stream of events. A failure before the first is an error like any other, later one of the stream's.

    Raises `ModelFailure` when nothing has been sent yet.
    """
    exchange = call.exchange
    try:
        async with aclosing(pieces(call, request)) as coming:
            async for come in coming:
                if not exchange.status:
                    await exchange.begin(200, EVENTS)
                    await exchange.put(writer.opening())
                if isinstance(come, Replied):
                    await exchange.put(writer.closing(come), more=False)
                else:
                    await exchange.put(writer.pieces(come))
    except ModelFailure as failure:
        if not exchange.status:
            raise
        error = for_client(call, of_failure(failure))
        call.account.error = error.kind
        await exchange.put(writer.failure(error), more=False)


def _put_down(call: ModelCall, replied: Replied) -> None:
    call.account.usage, call.account.cost = replied.usage, replied.cost
