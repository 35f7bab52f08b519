"""What the settings say of prices, limits, credentials and deadlines holds for clients of the server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from podium.domain.budgets import Budget, Unpriced
from podium.domain.money import Money
from podium.settings import Limits, ModelPrice, PriceSettings
from tests.server.support import QUICK, new_key, openai_at, serving
from tests.wire import WireServer, ok, stalled_midway, unauthorized

ASK: Any = {"model": "openai:own", "messages": [{"role": "user", "content": "Hello?"}]}
TWO: Any = {"openai": ("FIRST", "SECOND")}


async def test_credentials_that_the_settings_name_are_used_on_both_lanes(tmp_path):
    async with WireServer() as wire:
        environment = {"NOPE": "sk-named-key", "OPENAI_API_KEY": "sk-usual", "OPENAI_BASE_URL": wire.url}
        gateway = replace(QUICK, credentials={"openai": ("NOPE",)})
        wire.always(ok("Hello there."))
        async with (
            serving(
                tmp_path,
                environment=environment,
                gateway=gateway,
                aliases={"both": "openai:own,openai:other"},
            ) as server,
            server.http() as client,
        ):
            for model in ("openai:own", "both"):
                got = await client.post("/v1/chat/completions", json={**ASK, "model": model})
                assert got.status_code == 200
    assert {request.headers["authorization"] for request in wire.requests} == {"Bearer sk-named-key"}


async def test_a_key_that_is_refused_leaves_the_other(tmp_path):
    async with WireServer() as wire:
        environment = {"FIRST": "sk-one", "SECOND": "sk-two", "OPENAI_BASE_URL": wire.url}
        wire.reply(unauthorized())
        wire.always(ok("Hello there."))
        async with (
            serving(tmp_path, environment=environment, gateway=replace(QUICK, credentials=TWO)) as server,
            server.http() as client,
        ):
            got = [(await client.post("/v1/chat/completions", json=ASK)).status_code for _ in range(3)]
    assert got == [502, 200, 200]
    assert len({request.headers["authorization"] for request in wire.requests[1:]}) == 1
    assert wire.requests[0].headers["authorization"] != wire.requests[1].headers["authorization"]


async def test_the_deadline_inside_a_request_holds_on_the_typed_lane(tmp_path):
    async with WireServer() as wire:
        environment = {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": wire.url}
        wire.always(stalled_midway())
        async with (
            serving(
                tmp_path,
                environment=environment,
                gateway=replace(QUICK, stall=0.2),
                aliases={"both": "openai:own,openai:other"},
            ) as server,
            server.http() as client,
        ):
            async with asyncio.timeout(10):
                got = await client.post("/v1/chat/completions", json={**ASK, "model": "both", "stream": True})
    assert "did not" in got.text or "upstream_timeout" in got.text


async def test_prices_of_ones_own_count_for_keys_and_in_the_log(tmp_path):
    token = await new_key(tmp_path, budget=Budget.parse("$10/day"))
    prices = PriceSettings(models={"openai:own": ModelPrice("0", "1000000")})
    async with WireServer() as wire:
        wire.always(ok("Hello there.", output_tokens=6))
        async with (
            serving(tmp_path, environment=openai_at(wire), prices=prices) as server,
            server.http(token) as client,
        ):
            got = [
                (await client.post("/v1/chat/completions", json={**ASK, "max_tokens": 6})).status_code
                for _ in range(2)
            ]
            (row, _) = await server.log(2)
    assert got == [200, 429]
    assert row.cost == Money.usd("6")


async def test_limits_of_a_credential_hold_on_both_lanes_together(tmp_path):
    gateway = replace(QUICK, credential_limits={"OPENAI_API_KEY": Limits(concurrency=1)})
    async with WireServer() as wire:
        wire.always(replace(ok("Hello there."), delay=0.5))
        async with (
            serving(
                tmp_path,
                environment=openai_at(wire),
                gateway=gateway,
                aliases={"both": "openai:own,openai:other"},
                patience=0.05,
            ) as server,
            server.http() as client,
        ):
            typed = asyncio.create_task(client.post("/v1/chat/completions", json={**ASK, "model": "both"}))
            await wire.received(1)
            passed = await client.post("/v1/chat/completions", json=ASK)
            assert (await typed).status_code == 200
    assert (passed.status_code, passed.json()["error"]["code"]) == (429, "upstream_limit")


async def test_a_model_without_a_price_passes_a_budget_of_money_only_where_that_is_allowed(tmp_path):
    budgets = (Budget.parse("$1/day"),)
    cases: list[tuple[Unpriced, int]] = [("refuse", 403), ("allow", 200)]
    for unpriced, status in cases:
        async with WireServer() as wire:
            wire.always(ok("Hello there."))
            gateway = replace(QUICK, budgets=budgets, unpriced=unpriced)
            names = {"one": f"openai:own@{wire.url}", "two": f"openai:own@{wire.url},openai:other@{wire.url}"}
            async with (
                serving(tmp_path, gateway=gateway, aliases=names) as server,
                server.http() as client,
            ):
                for model in names:
                    got = await client.post("/v1/chat/completions", json={**ASK, "model": model})
                    assert got.status_code == status
