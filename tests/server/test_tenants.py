"""A key's requests are its tenant's: its limits, its budgets and its part of the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import openai
import pytest

from podium import Budget, Limits, Scope
from podium.app.database import make_database, open_database
from podium.domain.keys import KeyLimits
from podium.providers import Script, say
from tests.server.support import QUICK, serving

ASK: Any = [{"role": "user", "content": "Say hello."}]
TALKS = {"m": "scripted:talks"}


async def new_key(folder: Any, tenant: str) -> str:
    await make_database(folder / "podium.db")
    async with open_database(folder / "podium.db", tenant) as opened:
        return (await opened.keys.create("site", KeyLimits()))[1]


async def ask(client: openai.AsyncOpenAI, **options: Any) -> None:
    said = await client.chat.completions.create(model="m", messages=ASK, max_tokens=5, **options)
    if options.get("stream"):
        assert [piece async for piece in said]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tenants_limit_holds_up_its_own_keys_alone(tmp_path, stream):
    acme, globex = await new_key(tmp_path, "acme"), await new_key(tmp_path, "globex")
    async with (
        serving(
            tmp_path,
            aliases=TALKS,
            scripts={"talks": Script(lambda _: say("Hello."))},
            gateway=replace(QUICK, tenant_limits={"acme": Limits(requests=1)}),
        ) as server,
        server.openai(acme) as first,
        server.openai(globex) as second,
    ):
        for _ in range(3):
            await ask(second, stream=stream)
        await ask(first, stream=stream)
        with pytest.raises((TimeoutError, openai.APIError)):
            async with asyncio.timeout(0.5):
                await ask(first, stream=stream)
        await ask(second, stream=stream)


async def test_a_tenants_budget_and_log_are_its_own(tmp_path):
    acme, globex = await new_key(tmp_path, "acme"), await new_key(tmp_path, "globex")
    async with (
        serving(
            tmp_path,
            aliases=TALKS,
            scripts={"talks": Script(lambda _: say("Hello."))},
            gateway=replace(QUICK, budgets=(Budget("1 request/day", scope=Scope.TENANT),)),
        ) as server,
        server.openai(acme) as first,
        server.openai(globex) as second,
    ):
        await ask(first)
        with pytest.raises(openai.RateLimitError, match="tenant 'acme' has a limit"):
            await ask(first)
        await ask(second)
    for tenant, statuses in (("acme", [429, 200]), ("globex", [200]), ("default", [])):
        async with open_database(tmp_path / "podium.db", tenant) as opened:
            assert [row.status for row in await opened.requests.list()] == statuses
