"""Budgets of keys are those of the gateway: its units, its calendar, its books, in every process that serves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from podium.app.database import open_database
from podium.domain.budgets import Breach, Budget, Scope
from podium.domain.money import Money
from podium.ports.budgets import BudgetUse
from podium.providers import Script, say
from tests.server.support import QUICK, dollar_a_token, new_key, openai_at, serving
from tests.wire import WireServer, drip, ok

ASK: Any = [{"role": "user", "content": "Say hello."}]
TALKS = {"m": "scripted:talks"}


def talkative() -> dict[str, Script]:
    return {"talks": Script(lambda _: replace(say("Hello there."), cost=Money.usd("2")))}


async def ask(client: AsyncOpenAI, model: str = "m", **options: Any) -> Any:
    return await client.chat.completions.create(model=model, messages=ASK, **{"max_tokens": 5, **options})


async def booked(folder: Path) -> dict[str, BudgetUse]:
    async with open_database(folder / "podium.db") as opened:
        return {f"{use.key.subject}: {use.title}": use for use in await opened.budgets.list()}


@pytest.mark.parametrize("period", ["day", "month", "forever"])
async def test_a_budget_lasts_as_long_as_its_calendar_says_whoever_serves(tmp_path, period):
    token = await new_key(tmp_path, budget=Budget.parse(f"$7/{period}"))
    # The second server begins where the first has ended.
    got: list[Any] = []
    for _ in range(2):
        async with (
            serving(tmp_path, aliases=TALKS, scripts=talkative(), price=dollar_a_token) as server,
            server.openai(token) as client,
        ):
            for _ in range(2):
                got += await asyncio.gather(ask(client), return_exceptions=True)
    refused = [one for one in got if isinstance(one, openai.RateLimitError)]
    assert (len(got), len(refused)) == (4, 2)
    now = datetime.now(UTC)
    for each in refused:
        assert each.code == "insufficient_quota"
        match period:
            case "forever":
                assert "retry-after" not in each.response.headers
                assert "does not begin anew" in each.message
            case "month":
                first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
                assert f"{first:%Y-%m-%d} 00:00:00 UTC" in each.message
                left = (first - now).total_seconds()
                assert abs(int(each.response.headers["retry-after"]) - left) < 60
            case _:
                assert 1 <= int(each.response.headers["retry-after"]) <= 86_400
    (use,) = (await booked(tmp_path)).values()
    assert (use.spent, use.held) == (Money.usd("4").nanos, 0)


async def test_limits_of_a_key_are_listed_with_all_other_budgets(tmp_path):
    token = await new_key(tmp_path, requests=60, tokens=50_000, budget=Budget.parse("$100/month"))
    async with (
        serving(tmp_path, aliases=TALKS, scripts=talkative(), price=dollar_a_token) as server,
        server.openai(token) as client,
    ):
        await ask(client)
        async with asyncio.timeout(10):
            while any(use.held for use in (await booked(tmp_path)).values()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        found = await booked(tmp_path)
        (row,) = await server.log(1)
    assert {name: use.spent for name, use in found.items()} == {
        "tests: $100.00/month": Money.usd("2").nanos,
        "tests: 50,000 tokens/min": row.usage.input_tokens + row.usage.output_tokens,
        "tests: 60 requests/min": 1,
    }


async def test_budgets_of_the_tenant_and_of_all_keys_bound_a_key_too(tmp_path):
    one, two = await new_key(tmp_path, "one"), await new_key(tmp_path, "two")
    budgets = (Budget("$9/day", scope=Scope.TENANT), Budget("$5/day", scope=Scope.KEY))
    async with (
        serving(
            tmp_path,
            aliases=TALKS,
            scripts=talkative(),
            price=dollar_a_token,
            gateway=replace(QUICK, budgets=budgets),
        ) as server,
        server.openai(one) as first,
        server.openai(two) as second,
    ):
        await ask(first)
        with pytest.raises(openai.RateLimitError, match=r"this key has a limit of \$5\.00/d"):
            await ask(first)
        await ask(second)
        await ask(second, max_tokens=3)
        with pytest.raises(openai.RateLimitError, match=r"tenant 'default' has a limit of \$9\.00/d"):
            await ask(second, max_tokens=4)


async def test_a_budget_may_leave_the_cheaper_models_of_an_alias(tmp_path):
    scripts = {"dear": Script(["Dear."]), "cheap": Script(["Cheap."])}
    budgets = (Budget("$3/day", breach=Breach.CHEAPER),)
    async with (
        serving(
            tmp_path,
            aliases={"m": "scripted:dear,scripted:cheap"},
            scripts=scripts,
            price=lambda model, usage: Money.usd(str(usage.output_tokens if "dear" in model else 0)),
            gateway=replace(QUICK, budgets=budgets),
        ) as server,
        server.openai() as client,
    ):
        said = await ask(client)
    assert said.choices[0].message.content == "Cheap."
    assert scripts["dear"].requests == []


async def test_what_others_have_set_aside_is_waited_for_and_then_told_as_such(tmp_path):
    token = await new_key(tmp_path, budget=Budget.parse("$6/day"))
    async with WireServer() as wire:
        wire.reply(drip("one two", pause=0.2), ok("one two"))
        async with (
            serving(tmp_path, environment=openai_at(wire), price=dollar_a_token, patience=10) as patient,
            patient.openai(token) as client,
        ):
            slow = asyncio.create_task(ask(client, "openai:x", stream=True))
            await wire.received(1)
            waiting = asyncio.create_task(ask(client, "openai:x", max_tokens=4))
            [chunk async for chunk in await slow]
            assert (await waiting).choices[0].message.content == "one two"
    async with WireServer() as wire:
        wire.reply(drip("one", pause=0.5))
        async with (
            serving(tmp_path, environment=openai_at(wire), price=dollar_a_token, patience=0.05) as hasty,
            hasty.openai(token) as client,
        ):
            slow = asyncio.create_task(ask(client, "openai:x", max_tokens=2, stream=True))
            await wire.received(1)
            with pytest.raises(openai.RateLimitError) as caught:
                await ask(client, "openai:x", max_tokens=2)
            [chunk async for chunk in await slow]
    assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "1")


@contextmanager
def a_server(folder: Path, *options: str, **environment: str) -> Iterator[str]:
    """A real `podium serve`; its address."""
    command = [
        sys.executable,
        "-m",
        "podium.cli",
        "serve",
        "--port",
        "0",
        "--json",
        "--db",
        "podium.db",
        *options,
    ]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stdout is not None
        process.stdout.close()


async def test_two_servers_of_two_processes_each_never_spend_more_than_one_budget(tmp_path):
    # Each takes half a million, so there is room for twenty.
    token = await new_key(tmp_path, budget=Budget(10_002_000, per="day"))
    async with WireServer() as wire:
        wire.always(ok("Hello there", output_tokens=500_000))
        to = openai_at(wire)
        with (
            a_server(tmp_path, "--workers", "2", **to) as one,
            a_server(tmp_path, "--workers", "2", **to) as two,
        ):
            clients = [AsyncOpenAI(base_url=url, api_key=token, max_retries=0) for url in (one, two)]
            got = await asyncio.gather(
                *(
                    ask(client, "openai:gpt-5-mini", max_tokens=500_000)
                    for _ in range(100)
                    for client in clients
                ),
                return_exceptions=True,
            )
            for client in clients:
                await client.close()
    answered = [one for one in got if not isinstance(one, Exception)]
    refused = [one for one in got if isinstance(one, openai.RateLimitError)]
    assert len(answered) + len(refused) == 200
    assert len(answered) == len(wire.requests)
    (use,) = (await booked(tmp_path)).values()
    assert use.spent <= use.limit
    assert use.held == 0
    assert 15 <= len(answered) <= 20
