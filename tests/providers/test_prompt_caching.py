"""What stays the same from request to request is made known to the vendor's own prompt cache, as each wants to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from podium.domain.money import Money
from podium.gateway import Gateway, prompt
from podium.ports.models import Message, Role, Tool
from podium.providers import Providers, openai
from podium.providers.exchange import Exchange
from podium.providers.prices import Prices
from podium.providers.vendors import VENDORS, Access
from podium.settings.gateway import GatewaySettings
from podium.settings.prices import ModelPrice, PriceSettings
from tests import wire
from tests.gateway.support import ask as ask_gateway
from tests.providers.asking import KEY, ask, line_to
from tests.wire import Said, WireServer, ok

RULES = "You sort mail. " * 300
KEPT = {"type": "ephemeral", "ttl": "5m"}


async def sent(*messages: Message, tools: Sequence[Tool] = (), vendor: wire.Vendor = "anthropic") -> Any:
    async with line_to(vendor) as line:
        line.server.reply(ok("Yes."))
        await line.complete(replace(ask(messages=messages), tools=tools))
        return line.server.requests[0].body


def system(text: str) -> tuple[Message, Message]:
    return Message(Role.SYSTEM, text), Message(Role.USER, "Now?")


async def rendered(vendor: wire.Vendor, template: str, mail: str = "Hello!") -> Any:
    """The body of the request that a prompt of `template` makes."""
    async with WireServer(vendor) as server:
        server.reply(ok("Yes."))
        providers = Providers({f"{vendor.upper()}_COMPATIBLE_API_KEY": KEY})
        sort = prompt("sort", template, models=[server.name()], system="You sort mail.")
        try:
            await ask_gateway(Gateway(providers, GatewaySettings()), sort, {"mail": mail}, [])
        finally:
            await providers.close()
        return server.requests[0].body


async def test_a_long_system_text_is_marked_to_be_kept():
    (block,) = (await sent(*system(RULES)))["system"]
    assert (block["text"], block["cache_control"]) == (RULES, KEPT)


async def test_a_short_one_is_not_because_no_service_would_keep_it():
    assert (await sent(*system("You sort mail.")))["system"] == "You sort mail."


async def test_what_a_template_says_before_its_first_variable_is_marked():
    body = await rendered("anthropic", RULES + "The mail: {mail} What is it?")
    before, after = body["messages"][0]["content"]
    assert (before["text"], before["cache_control"]) == (RULES + "The mail: ", KEPT)
    assert (after["text"], "cache_control" in after) == ("Hello! What is it?", False)


async def test_a_short_beginning_is_not_marked_and_stays_in_one_piece():
    body = await rendered("anthropic", "The mail: {mail}")
    assert body["messages"][0]["content"] == [{"text": "The mail: Hello!", "type": "text"}]


async def test_a_mark_never_leaves_a_text_of_nothing_but_spaces():
    body = await rendered("anthropic", RULES + "{mail}", mail=" ")
    (whole,) = body["messages"][0]["content"]
    assert whole["text"] == RULES + " "


async def test_long_tools_are_marked_and_short_ones_count_with_what_follows_them():
    long = Tool("sort", RULES, {"type": "object", "properties": {}})
    body = await sent(Message(Role.USER, "Now?"), tools=[replace(long, name="first", description=""), long])
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, KEPT]
    half = len(RULES) // 2
    body = await sent(*system(RULES[:half]), tools=[replace(long, description=RULES[half:])])
    assert "cache_control" not in body["tools"][0]
    assert body["system"][0]["cache_control"] == KEPT


@pytest.mark.parametrize("vendor", ["openai", "google"])
async def test_vendors_that_find_it_by_themselves_are_sent_one_plain_text(vendor: wire.Vendor):
    body = await rendered(vendor, RULES + "The mail: {mail}")
    said = body["messages"][-1]["content"] if vendor == "openai" else body["contents"][0]["parts"][0]["text"]
    assert said == RULES + "The mail: Hello!"


async def test_openai_is_told_which_requests_begin_alike_and_other_servers_are_not():
    assert "prompt_cache_key" not in await rendered("openai", RULES + "{mail}")
    async with WireServer("openai") as server:
        server.reply(ok("Yes."))
        access = Access(VENDORS["openai"], server.url, foreign=False, key=KEY)
        connection: Any = openai.connect(access)
        exchange = Exchange(connection, Prices())
        await exchange.complete("gpt-5-mini", replace(ask(), cache_key="sort@1a2b3c4d"))
        await exchange.close()
        assert server.requests[0].body["prompt_cache_key"] == "sort@1a2b3c4d"


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_what_the_vendor_read_from_its_cache_is_priced_at_the_price_of_that(vendor: wire.Vendor):
    async with WireServer(vendor) as server:
        server.reply(Said(("Yes.",), input_tokens=1000, cached_tokens=900, output_tokens=10))
        price = PriceSettings({server.name(): ModelPrice("10", "20", cached_input="1")})
        providers = Providers({f"{vendor.upper()}_COMPATIBLE_API_KEY": KEY}, prices=price)
        provider, name = providers.find(server.name())
        try:
            reply = await provider.complete(name, ask())
        finally:
            await providers.close()
    assert reply.usage.input_tokens == 1000
    assert reply.cost == Money((100 * 10 + 900 * 1 + 10 * 20) * 1000)
