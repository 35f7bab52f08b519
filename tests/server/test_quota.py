"""A budget that is only held by requests under way is not used up, and nobody is told that it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import openai
import pytest

from podium.domain.budgets import Budget
from tests.server.support import new_key, openai_at, serving
from tests.wire import WireServer, ok

ASK: Any = {"model": "openai:x", "messages": [{"role": "user", "content": "Hello?"}]}


async def ask(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.create(**ASK, **more)


async def test_requests_side_by_side_wait_for_each_other(tmp_path):
    token = await new_key(tmp_path, budget=Budget.parse("10k tokens/day"))
    async with WireServer() as wire:
        wire.always(replace(ok("Hello there."), delay=0.1))
        async with (
            serving(tmp_path, environment=openai_at(wire), patience=20) as server,
            server.openai(token) as client,
        ):
            got = await asyncio.gather(*(ask(client) for _ in range(6)))
    assert len(got) == 6


async def test_who_cannot_wait_is_told_to_come_back_in_seconds(tmp_path):
    token = await new_key(tmp_path, budget=Budget.parse("10k tokens/day"))
    async with WireServer() as wire:
        wire.always(replace(ok("Hello there."), delay=1.0))
        async with (
            serving(tmp_path, environment=openai_at(wire), patience=0.05) as server,
            server.openai(token) as client,
        ):
            got = await asyncio.gather(*(ask(client) for _ in range(4)), return_exceptions=True)
    refused = [each for each in got if isinstance(each, openai.RateLimitError)]
    assert len(refused) == 2
    for each in refused:
        assert each.code == "rate_limit_exceeded"
        assert each.type == "rate_limit_error"
        assert 1 <= int(each.response.headers["retry-after"]) <= 5
        assert "x-should-retry" not in each.response.headers
        assert "begins anew" not in each.message


async def test_a_request_that_no_day_has_room_for_is_told_so(tmp_path):
    token = await new_key(tmp_path, budget=Budget.parse("10k tokens/day"))
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire)) as server,
        server.openai(token) as client,
    ):
        with pytest.raises(openai.BadRequestError, match=r"lower max_tokens") as caught:
            await ask(client, max_tokens=20_000)
    assert caught.value.code == "request_exceeds_budget"
    assert wire.requests == []


async def test_a_budget_that_is_spent_says_how_far(tmp_path):
    token = await new_key(tmp_path, budget=Budget.parse("10k tokens/day"))
    async with WireServer() as wire:
        wire.always(ok("Hello there.", output_tokens=7_000))
        async with (
            serving(tmp_path, environment=openai_at(wire)) as server,
            server.openai(token) as client,
        ):
            await ask(client, max_tokens=8_000)
            with pytest.raises(
                openai.RateLimitError, match=r"7,011 tokens of 10,000 tokens.* begins anew"
            ) as caught:
                await ask(client, max_tokens=8_000)
    assert caught.value.code == "insufficient_quota"
