"""Where models are is for who serves to know: clients read of failures under the name that they asked for."""

from __future__ import annotations

from typing import Any

import pytest

from podium.domain.budgets import Budget
from podium.server.reports import Reports
from podium.settings import BreakerSettings, GatewaySettings
from tests.server.support import new_key, serving
from tests.wire import WireServer, stalled_midway, unauthorized
from tests.wire.addresses import refusing_url

ASK: Any = {"messages": [{"role": "user", "content": "Hello?"}]}


def aliases(url: str) -> dict[str, str]:
    return {"one": f"openai:own@{url}", "two": f"openai:own@{url},openai:own-2@{url}"}


@pytest.mark.parametrize("model", ["one", "two"])
async def test_a_server_that_cannot_be_reached_and_is_then_left_alone(tmp_path, capsys, model):
    gateway = GatewaySettings(retries=0, breaker=BreakerSettings(base=30.0))
    seen = set()
    with refusing_url() as url:
        async with (
            serving(tmp_path, aliases=aliases(url), gateway=gateway) as server,
            server.http() as client,
        ):
            for _ in range(12):
                got = await client.post("/v1/chat/completions", json={**ASK, "model": model})
                seen.add(got.status_code)
                said = got.json()["error"]["message"]
                assert "127.0.0.1" not in said
                assert "openai:own" not in said
                assert model in said
    assert seen == {502, 503}
    assert f"podium: {model}: openai:own" in (told := capsys.readouterr().err)
    assert url in told


@pytest.mark.parametrize("model", ["one", "two"])
async def test_a_key_that_is_refused_there(tmp_path, capsys, model):
    async with WireServer() as wire:
        wire.always(unauthorized())
        async with serving(tmp_path, aliases=aliases(wire.url)) as server, server.http() as client:
            got = await client.post("/v1/chat/completions", json={**ASK, "model": model})
    assert got.status_code == 502
    assert wire.url not in got.text
    assert wire.url in capsys.readouterr().err


@pytest.mark.parametrize("model", ["one", "two"])
async def test_a_model_without_a_price(tmp_path, capsys, model):
    token = await new_key(tmp_path, budget=Budget.parse("$1/day"))
    async with (
        WireServer() as wire,
        serving(tmp_path, aliases=aliases(wire.url)) as server,
        server.http(token) as client,
    ):
        got = await client.post("/v1/chat/completions", json={**ASK, "model": model})
    assert (got.status_code, got.json()["error"]["code"]) == (403, "no_price")
    assert got.json()["error"]["message"].startswith(f"no price is known for {model},")
    assert f"no price is known for openai:own@{wire.url}" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["one", "two"])
async def test_a_stream_that_ends_in_the_middle(tmp_path, model):
    gateway = GatewaySettings(retries=0, stall=0.2)
    async with WireServer() as wire:
        wire.always(stalled_midway())
        async with (
            serving(tmp_path, aliases=aliases(wire.url), gateway=gateway, silence=0.1, send=0.1) as server,
            server.http() as client,
        ):
            got = await client.post("/v1/chat/completions", json={**ASK, "model": model, "stream": True})
    assert "upstream_timeout" in got.text
    assert "127.0.0.1" not in got.text


def test_the_same_failure_is_told_once_a_minute(capsys):
    reports = Reports(as_json=False)
    for message in ("a: down", "a: down", "b: down"):
        reports.failure(message)
    assert capsys.readouterr().err.splitlines() == ["podium: a: down", "podium: b: down"]
