"""The pass-through lane: the client's bytes go to an upstream of the same format, the reply's bytes come back."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import orjson

from podium.domain.answers import FailureKind, Usage
from podium.domain.requests import Lane
from podium.domain.runs import DEFAULT_TENANT
from podium.gateway.passage import Passage
from podium.ports.models import ModelFailure
from podium.ports.wire import Upstream, WireReply
from podium.server.account import Account
from podium.server.call import ModelCall
from podium.server.discretion import for_client
from podium.server.errors import ApiError, Header, of_failure
from podium.server.forwarding import forwarded
from podium.server.http import EVENTS, Exchange
from podium.server.usage import StreamTap, counted, without

# What of the client's headers goes on to the upstream: never who it is, nor with what key.
_UP = ("openai-beta",)
_IDEMPOTENCY = "idempotency-key"
# What of the upstream's goes back: nothing of whose account it is, nor of its limits, which all keys share.
_DOWN = (
    "content-type",
    "content-encoding",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "openai-processing-ms",
)
_LONGEST_ERROR = 64 * 1024
_PAUSE = 1.0


async def pass_through(
    call: ModelCall, path: str, body: bytes, tokens: int, cap: Mapping[str, Any] | None
) -> None:
    """Answer by handing bytes on; raises `ApiError`.

    `path` is the upstream's, `tokens` about what the request takes. `cap` holds members that the request must have for
    what it may use at most to be sure, None when nobody asks.
    """
    exchange, account, asked = call.exchange, call.account, call.asked
    upstream = call.target.upstream
    if upstream is None:
        raise AssertionError(f"{call.target.name} cannot be passed through")
    account.lane = Lane.PASS_THROUGH
    streamed = asked.get("stream") is True
    hide = streamed and path == "/chat/completions" and "stream_options" not in asked
    # Without it, nobody would know what the stream has used.
    extra = {**(cap or {}), **({"stream_options": {"include_usage": True}} if hide else {})}
    sent = forwarded(body, asked, upstream.model, extra, exact=cap is not None)
    settings = exchange.settings
    tenant = DEFAULT_TENANT if account.key is None else account.key.tenant
    reply: WireReply | None = None
    passage: Passage | None = None
    try:
        passage = await call.serving.passages.enter(
            call.target.routes, tokens, tenant, total=settings.total, patience=settings.patience
        )
        upstream = call.target.upstream_by(passage.route)
        account.usage = None
        async with asyncio.timeout(settings.first_byte if streamed else settings.total) as deadline:
            reply = await call.serving.wire.post(upstream, path, sent, _upward(call, streamed=streamed))
            if reply.status != 200:
                await _refused(exchange, reply, upstream, account, passage)
            elif reply.headers.get("content-type", "").startswith("text/event-stream"):
                tap = StreamTap(hide=hide, key=upstream.key)
                await _stream(exchange, reply, account, deadline, tap)
            else:
                await _whole(exchange, reply, upstream, account)
        _ended(passage, account)
    except TimeoutError:
        said = f"{upstream.name} did not answer in time"
        if passage is not None:
            passage.failed(FailureKind.STALL if account.first_token else FailureKind.TIMEOUT, said)
        error = ApiError(504, said, type="server_error", code="upstream_timeout", kind="timeout")
        await _failed(call, error)
    except ModelFailure as failure:
        if passage is not None:
            passage.failed(failure.kind, str(failure), failure.retry_after)
        if not exchange.status:
            account.usage = Usage()
        await _failed(call, of_failure(failure))
    finally:
        if passage is not None:
            passage.dropped()
        if reply is not None:
            reply.close()


def _ended(passage: Passage, account: Account) -> None:
    if account.error is None:
        passage.replied(account.usage or Usage(), account.first_token)
    else:
        passage.failed(_kind_of_event(account.error), f"it told of an error: {account.error}")


async def _whole(exchange: Exchange, reply: WireReply, upstream: Upstream, account: Account) -> None:
    content = without(await reply.read(exchange.settings.max_reply), upstream.key.encode())
    account.first_token = exchange.elapsed
    await exchange.respond(reply.status, content, _downward(reply))
    found = counted(content)
    if found is not None:
        account.usage, account.cost = found.usage, found.cost


async def _stream(
    exchange: Exchange, reply: WireReply, account: Account, deadline: asyncio.Timeout, tap: StreamTap
) -> None:
    clock = asyncio.get_running_loop().time
    allowed = exchange.settings.silence + exchange.settings.send
    await exchange.begin(200, EVENTS)
    looked = 0.0
    try:
        async for chunk in reply.chunks():
            now = clock()
            if now - looked > _PAUSE:
                looked = now
                deadline.reschedule(now + allowed)
            if account.first_token is None:
                account.first_token = exchange.elapsed
            lines = tap.feed(chunk)
            if lines:
                await exchange.put(lines)
        await exchange.put(tap.rest(), more=False)
    finally:
        if tap.counted is not None:
            account.usage, account.cost = tap.counted.usage, tap.counted.cost
        if tap.error is not None:
            account.error = f"upstream_{tap.error}"


async def _refused(
    exchange: Exchange, reply: WireReply, upstream: Upstream, account: Account, passage: Passage
) -> None:
    account.usage = Usage()
    account.error = f"upstream_{reply.status}"
    content = await reply.read(_LONGEST_ERROR)
    kind = _kind_of(reply.status, content)
    if kind is None:
        passage.dropped()
    else:
        passage.failed(kind, f"HTTP {reply.status}", _asked_to_wait(reply))
    if reply.status in {401, 403} or not 400 <= reply.status < 600:
        # It is this server's key that is refused there, or its address that is wrong: none of it is the client's.
        why = "refused this server's key" if reply.status in {401, 403} else "did not answer as an API does"
        raise ApiError(
            502,
            f"{upstream.name} {why} (HTTP {reply.status})",
            type="server_error",
            code="upstream_error",
            kind=account.error,
        )
    content = without(content, upstream.key.encode())
    headers = _downward(reply)
    if not _is_error(content):
        failed = ApiError(
            reply.status,
            f"{upstream.name} failed (HTTP {reply.status})",
            type="server_error",
            code="upstream_error",
            headers=tuple(each for each in headers if each[0] != b"content-type"),
        )
        raise failed
    await exchange.respond(reply.status, content, headers)


async def _failed(call: ModelCall, error: ApiError) -> None:
    """Tell of a failure: as the reply if there is none yet, else as the stream's last event."""
    call.account.error = error.kind
    if not call.exchange.status:
        raise error
    await call.exchange.put(b"data: " + for_client(call, error).body() + b"\n\n", more=False)


def _kind_of(status: int, content: bytes) -> FailureKind | None:
    """Return what a refusal says of the service, None when it is the request that was refused."""
    match status:
        case 401 | 403:
            return FailureKind.AUTHENTICATION
        case 429:
            return FailureKind.QUOTA if b'"insufficient_quota"' in content else FailureKind.RATE_LIMIT
        case 503 | 529:
            return FailureKind.OVERLOADED
        case _ if 300 <= status < 400:
            return FailureKind.NOT_FOUND
        case _:
            return FailureKind.SERVER if status >= 500 or status == 408 else None


def _kind_of_event(error: str) -> FailureKind:
    """Return what an error within a stream says of the service."""
    match error:
        case "upstream_insufficient_quota":
            return FailureKind.QUOTA
        case _ if "rate_limit" in error:
            return FailureKind.RATE_LIMIT
        case _ if "overloaded" in error:
            return FailureKind.OVERLOADED
        case _ if "invalid" in error or "content" in error or "context" in error:
            return FailureKind.BAD_REQUEST
        case _:
            return FailureKind.SERVER


def _asked_to_wait(reply: WireReply) -> float | None:
    """Return for how many seconds the upstream asked to be left alone."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(reply.headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _is_error(content: bytes) -> bool:
    try:
        return isinstance(orjson.loads(content), dict)
    except orjson.JSONDecodeError:
        return False


def _upward(call: ModelCall, *, streamed: bool) -> dict[str, str]:
    headers = {"Accept": "text/event-stream" if streamed else "application/json"}
    for name in _UP:
        value = call.exchange.header(name.encode())
        if value is not None:
            headers[name] = value.decode("latin-1")
    wished = call.exchange.header(_IDEMPOTENCY.encode())
    if wished is not None:
        key = call.account.key
        whose = ("", "") if key is None else (key.tenant, key.name)
        # All clients share the upstream's key: one must not be given what another's request was answered.
        scoped = hashlib.sha256(repr((*whose, wished)).encode()).hexdigest()
        headers[_IDEMPOTENCY] = f"podium-{scoped}"
    return headers


def _downward(reply: WireReply) -> tuple[Header, ...]:
    found = ((name, reply.headers.get(name)) for name in _DOWN)
    return tuple(
        (name.encode(), value.encode("latin-1", "ignore")) for name, value in found if value is not None
    )
