"""Bytes that are passed through go past the same breaker and limits as the gateway's own requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest

from podium.settings import BreakerSettings, Limits
from tests.server.support import QUICK, openai_at, serving
from tests.wire import (
    WireServer,
    bad_request,
    drip,
    not_found,
    ok,
    quota_exceeded,
    rate_limited,
    reset,
    reset_midway,
    server_error,
    stalled_midway,
    unauthorized,
)

BODY: Any = {"model": "openai:x", "messages": [{"role": "user", "content": "Say hello."}]}
PATIENT = replace(QUICK, breaker=BreakerSettings(base=0.3, successes=1))


async def post(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={**BODY, **more})


@pytest.mark.parametrize(
    "reply",
    [server_error(), reset(), reset_midway(), rate_limited(None)],
    ids=["500", "reset", "midway", "429"],
)
async def test_an_upstream_that_fails_five_times_in_a_row_is_left_alone(tmp_path, reply):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.always(reply)
        async with server.http() as client:
            got = [await post(client, stream=True) for _ in range(50)]
        rows = await server.log(50)
    assert len(wire.requests) == 5
    for each in got[5:]:
        assert each.status_code == 503
        assert each.json()["error"]["code"] == "upstream_unavailable"
        assert 1 <= int(each.headers["retry-after"]) <= 5
    assert {row.error for row in rows[5:]} == {"breaker_open"}
    assert all(row.usage.output_tokens == 0 for row in rows[5:])


async def test_one_request_finds_out_whether_it_works_again(tmp_path):
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire), gateway=PATIENT) as server,
    ):
        wire.always(server_error())
        async with server.http() as client:
            for _ in range(6):
                assert (await post(client)).status_code >= 500
            wire.always(ok("Back again."))
            await asyncio.sleep(0.35)
            assert (await post(client)).status_code == 200
            got = await asyncio.gather(*(post(client) for _ in range(10)))
    assert {each.status_code for each in got} == {200}
    assert len(wire.requests) == 5 + 1 + 10


@pytest.mark.parametrize("reply", [bad_request(), not_found(), ok("Yes.")], ids=["400", "404", "200"])
async def test_what_is_the_requests_own_fault_opens_nothing(tmp_path, reply):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.always(reply)
        async with server.http() as client:
            for _ in range(12):
                await post(client)
    assert len(wire.requests) == 12


@pytest.mark.parametrize("reply", [unauthorized(), quota_exceeded()], ids=["key", "quota"])
async def test_a_refused_key_is_not_tried_again_and_again(tmp_path, reply):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.always(reply)
        async with server.http() as client:
            got = [(await post(client)).status_code for _ in range(5)]
    assert len(wire.requests) == 1
    assert got[1:] == [503] * 4


async def test_an_upstream_that_asks_to_be_left_alone_is(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.always(rate_limited("7"))
        async with server.http() as client:
            got = [await post(client) for _ in range(3)]
    assert len(wire.requests) == 1
    assert [each.status_code for each in got] == [429, 429, 429]
    assert {each.headers["retry-after"] for each in got} <= {"6", "7"}


async def test_both_lanes_learn_from_each_other(tmp_path):
    async with WireServer() as wire:
        names = {"one": wire.name(), "two": f"{wire.name()},{wire.name('other')}"}
        async with serving(tmp_path, aliases=names) as server, server.http() as client:
            wire.always(server_error())
            for _ in range(5):
                await post(client, model="one")
            await post(client, model="two")
    assert [request.body["model"] for request in wire.requests[:5]] == ["test-model"] * 5
    # The first in the line is left alone as long as there is another one.
    assert wire.requests[5].body["model"] == "other"


async def test_a_client_that_goes_away_says_nothing_about_the_upstream(tmp_path):
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire)) as server,
        server.http() as client,
    ):
        for number in range(8):
            wire.reply(drip("one " * 500, pause=0.02))
            task = asyncio.create_task(post(client, stream=True))
            await wire.received(number + 1)
            task.cancel()
        await server.log(8)
        wire.reply(ok("Still here."))
        assert (await post(client)).status_code == 200


async def test_silence_in_a_stream_counts_as_failure(tmp_path):
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire), silence=0.05, send=0.05) as server,
        server.http() as client,
    ):
        wire.always(stalled_midway())
        await asyncio.gather(*(post(client, stream=True) for _ in range(5)))
        assert (await post(client, stream=True)).status_code == 503


async def test_limits_of_a_provider_hold_on_this_lane_too(tmp_path):
    gateway = replace(QUICK, provider_limits={"*": Limits(requests=60, concurrency=2)})
    async with WireServer() as wire:
        wire.always(drip("one two", pause=0.02))
        async with (
            serving(tmp_path, environment=openai_at(wire), gateway=gateway, patience=20) as server,
            server.openai() as client,
        ):
            got = await asyncio.gather(*(client.chat.completions.create(**BODY) for _ in range(10)))
            assert len(got) == 10
    async with WireServer() as wire:
        wire.always(drip("one two", pause=0.3))
        async with (
            serving(tmp_path, environment=openai_at(wire), gateway=gateway, patience=0.05) as server,
            server.openai() as client,
        ):
            tried = await asyncio.gather(
                *(client.chat.completions.create(**BODY, stream=True) for _ in range(3)),
                return_exceptions=True,
            )
            for each in tried:
                if isinstance(each, openai.AsyncStream):
                    await each.close()
    refused = [each for each in tried if isinstance(each, openai.RateLimitError)]
    assert [each.code for each in refused] == ["upstream_limit"]
