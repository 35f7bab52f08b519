"""The typed lane does not keep clients waiting for upstreams that are known to be down."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from podium.domain.answers import FailureKind
from podium.ports.models import ModelFailure, ModelReply, ModelRequest
from podium.providers import Script, say
from podium.settings import BreakerSettings
from tests.server.support import QUICK, serving

ASK: Any = {"messages": [{"role": "user", "content": "Hello?"}]}
BOTH = {"m": "scripted:one,scripted:two", "one": "scripted:one"}


class Service:
    """A model that fails until told otherwise."""

    def __init__(self) -> None:
        self.works = False
        self.asked = 0

    def __call__(self, _: ModelRequest) -> ModelReply | ModelFailure:
        self.asked += 1
        return say("Hello there.") if self.works else ModelFailure(FailureKind.SERVER, "down")


async def test_when_every_breaker_is_open_clients_are_told_when_to_come_back(tmp_path):
    one, two = Service(), Service()
    gateway = replace(QUICK, breaker=BreakerSettings(base=30.0))
    async with (
        serving(
            tmp_path, aliases=BOTH, scripts={"one": Script(one), "two": Script(two)}, gateway=gateway
        ) as server,
        server.http() as client,
    ):
        for _ in range(5):
            assert (await client.post("/v1/chat/completions", json={**ASK, "model": "m"})).status_code == 502
        asked = one.asked, two.asked
        async with asyncio.timeout(5):
            for stream in (False, True):
                got = await client.post("/v1/chat/completions", json={**ASK, "model": "m", "stream": stream})
                assert (got.status_code, got.json()["error"]["code"]) == (503, "upstream_unavailable")
                assert 1 <= int(got.headers["retry-after"]) <= 30
    assert (one.asked, two.asked) == asked


async def test_one_open_breaker_leaves_the_other_candidate(tmp_path):
    one, two = Service(), Service()
    two.works = True
    async with (
        serving(tmp_path, aliases=BOTH, scripts={"one": Script(one), "two": Script(two)}) as server,
        server.http() as client,
    ):
        for _ in range(6):
            await client.post("/v1/chat/completions", json={**ASK, "model": "one"})
        got = await client.post("/v1/chat/completions", json={**ASK, "model": "m"})
    assert got.status_code == 200
    assert two.asked == 1


async def test_it_is_asked_again_once_the_breaker_lets_it(tmp_path):
    one = Service()
    gateway = replace(QUICK, breaker=BreakerSettings(base=0.3, successes=1))
    async with (
        serving(
            tmp_path, aliases={"one": "scripted:one"}, scripts={"one": Script(one)}, gateway=gateway
        ) as server,
        server.http() as client,
    ):
        for _ in range(6):
            await client.post("/v1/chat/completions", json={**ASK, "model": "one"})
        one.works = True
        await asyncio.sleep(0.35)
        got = await client.post("/v1/chat/completions", json={**ASK, "model": "one"})
    assert got.status_code == 200
