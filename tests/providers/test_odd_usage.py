"""A good reply is never thrown away for what its service says of tokens and costs; that is not believed then."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from podium import prompt
from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.providers import Providers
from podium.settings.prices import ModelPrice, PriceSettings
from tests.gateway.support import Desk
from tests.providers.asking import Line, ask
from tests.wire import Raw, Received, Reply, WireServer, ok
from tests.wire.server import _DIALECTS

COUNTS = {
    "openai": ("prompt_tokens", "completion_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
    "google": ("promptTokenCount", "candidatesTokenCount"),
}
HUGE = 10**12

ODD: Mapping[str, Callable[[str, str], Any]] = {
    "nothing": lambda read, written: {},
    "null": lambda read, written: None,
    "a text": lambda read, written: "none",
    "a list": lambda read, written: [1],
    "a number": lambda read, written: 7,
    "texts": lambda read, written: {read: "many", written: "few"},
    "texts of digits": lambda read, written: {read: "12", written: "3"},
    "nulls": lambda read, written: {read: None, written: None},
    "truths": lambda read, written: {read: True, written: True},
    "fractions": lambda read, written: {read: 1.5, written: 2.5},
    "debts": lambda read, written: {read: -5, written: -7},
    "no numbers": lambda read, written: {read: float("nan"), written: float("inf")},
    "trillions": lambda read, written: {read: HUGE, written: HUGE},
    "more than a word holds": lambda read, written: {read: 2**70, written: 2**70},
    "millions": lambda read, written: {read: 5_000_000, written: 5_000_000},
}


def odd(vendor: str, usage: Any, *, present: bool = True) -> Callable[[Received], Reply]:
    """Say `Yes.`, with this usage in each place where the vendor has one; without any if not `present`."""
    dialect = _DIALECTS[vendor]()

    def with_usage(said: Any) -> Any:
        if isinstance(said, dict):
            for holder in (said, said.get("message")):
                for name in ("usage", "usageMetadata"):
                    if isinstance(holder, dict) and holder.get(name) is not None:
                        holder[name] = usage
                        if not present:
                            del holder[name]
        return said

    def in_line(line: bytes) -> bytes:
        if not line.startswith(b"data: {"):
            return line
        return b"data: " + json.dumps(with_usage(json.loads(line[6:]))).encode()

    def reply(request: Received) -> Reply:
        said = ok("Yes.", input_tokens=9, output_tokens=2)
        if not dialect.streams(request):
            return Raw(json.dumps(with_usage(json.loads(dialect.whole(said, request)))).encode())
        telling = dialect.telling(said, request)
        stream = b"".join((*telling.opening, *telling.pieces, *telling.closing))
        return Raw(b"\n".join(map(in_line, stream.split(b"\n"))), content_type="text/event-stream")

    return reply


def request(*, in_pieces: bool):
    return ask() if in_pieces else ask(first_token=20.0, stall=20.0)


@pytest.mark.parametrize("in_pieces", [True, False])
@pytest.mark.parametrize("what", ODD)
async def test_the_reply_is_kept_and_its_usage_unknown(line: Line, what: str, in_pieces: bool):
    line.server.reply(odd(line.server.vendor, ODD[what](*COUNTS[line.server.vendor])))
    reply = await line.complete(request(in_pieces=in_pieces))
    assert (reply.text, reply.usage, reply.cost, reply.counted) == ("Yes.", Usage(), None, False)


@pytest.mark.parametrize("in_pieces", [True, False])
async def test_a_reply_without_usage_is_kept(line: Line, in_pieces: bool):
    line.server.reply(odd(line.server.vendor, None, present=False))
    reply = await line.complete(request(in_pieces=in_pieces))
    assert (reply.text, reply.usage, reply.counted) == ("Yes.", Usage(), False)


@pytest.mark.parametrize("in_pieces", [True, False])
async def test_what_of_it_is_sound_is_kept(line: Line, in_pieces: bool):
    read, written = COUNTS[line.server.vendor]
    line.server.reply(odd(line.server.vendor, {read: 9, written: HUGE}))
    reply = await line.complete(request(in_pieces=in_pieces))
    assert (reply.usage, reply.counted) == (Usage(9, 0), False)


@pytest.mark.parametrize("in_pieces", [True, False])
async def test_sound_usage_with_odd_details_counts(line: Line, in_pieces: bool):
    read, written = COUNTS[line.server.vendor]
    details = {
        "prompt_tokens_details": "none",
        "completion_tokens_details": [1],
        "cache_read_input_tokens": -3,
        "promptTokensDetails": {"a": 1},
        "cachedContentTokenCount": "x",
    }
    line.server.reply(odd(line.server.vendor, {read: 9, written: 2, "total_tokens": 11, **details}))
    reply = await line.complete(request(in_pieces=in_pieces))
    assert (reply.text, reply.usage, reply.counted) == ("Yes.", Usage(9, 2), True)


@pytest.mark.parametrize("in_pieces", [True, False])
@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -5.0, 1e9, 900.0, "much", [1], {"a": 1}, True])
async def test_an_odd_cost_is_not_believed(openai: Line, cost: Any, in_pieces: bool):
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cost": cost}
    openai.server.reply(odd("openai", usage))
    reply = await openai.complete(request(in_pieces=in_pieces))
    assert (reply.text, reply.usage, reply.cost, reply.counted) == ("Yes.", Usage(9, 2), None, True)


async def test_a_sound_cost_is_believed_without_any_tokens(openai: Line):
    openai.server.reply(odd("openai", {"cost": 0.25}))
    reply = await openai.complete()
    assert (reply.cost, reply.counted) == (Money.usd("0.25"), False)


async def test_the_gateway_estimates_what_was_not_counted_and_says_so():
    async with WireServer("openai") as server:
        server.reply(odd("openai", {"prompt_tokens": HUGE, "completion_tokens": HUGE}))
        prices = PriceSettings({server.name(): ModelPrice("1000", "1000")})
        providers = Providers({}, prices=prices)
        desk = Desk(providers)
        answer = await desk.ask(prompt("greet", "Say {what}.", models=[server.name()]), what="yes")
        await providers.close()
    assert answer.value == "Yes."
    (attempt,) = desk.recorded
    assert attempt.estimated
    assert 0 < attempt.usage.input_tokens < 100
    assert 0 < attempt.cost.nanos < Money.usd("1").nanos
    assert attempt.priced
