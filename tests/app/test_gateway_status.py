"""What the gateway of a process has learned of its providers, seen from that process and from others."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from podium import Fallback, GatewaySettings, Limits, Podium, PromptPolicy, Settings, prompt, workflow
from podium.app.database import open_database
from podium.domain.answers import FailureKind
from podium.domain.states import BreakerState
from podium.ports.models import ModelFailure
from podium.providers import Script
from tests.cli.support import Shell
from tests.support.apps import until

say = prompt("say", "Say {what}", models=["scripted:a", "scripted:b"])


@workflow
async def asks(what: str) -> str:
    return (await say(what=what)).value


@workflow(policy=PromptPolicy(models=("scripted:c",), on_outage=Fallback("nothing")))
async def bridges(what: str) -> str:
    plain = prompt("plain", "Say {what}")
    return (await plain(what=what)).value


def refused(_: object) -> Any:
    return ModelFailure(FailureKind.QUOTA, "no credit \x1b[31mleft")


def app(folder: Path) -> Podium:
    limits = {"scripted": Limits(requests=100, tokens=500_000, concurrency=7)}
    return Podium(
        folder / "podium.db",
        workflows=[asks, bridges],
        settings=Settings(gateway=GatewaySettings(provider_limits=limits)),
        scripts={"a": Script(refused), "b": Script(lambda _: "Yes."), "c": Script(refused)},
    )


async def test_a_workflows_policy_counts_where_its_prompts_say_nothing(tmp_path: Path):
    async with app(tmp_path) as podium:
        assert await podium.run(bridges, "it") == "nothing"


async def test_before_any_call_there_is_nothing_to_tell(tmp_path: Path):
    async with app(tmp_path):
        pass
    async with open_database(tmp_path / "podium.db") as seen:
        assert await seen.gateway.status() is None
    shell = Shell(tmp_path)
    assert shell.podium("gateway", "status").out == "No model has been called yet.\n"
    assert shell.podium("gateway", "status", "--json").json is None


async def test_others_see_breakers_budgets_and_limits(tmp_path: Path):
    async with app(tmp_path) as podium:
        assert await podium.run(asks, "it") == "Yes."
        async with open_database(tmp_path / "podium.db") as seen:
            await podium.idle()
            await until(seen.gateway.status)
            status = await seen.gateway.status()
        assert status is not None
        assert status.pid == os.getpid()
    a, b = status.lanes
    assert (a.provider, a.model, a.breaker, a.reason) == ("scripted", "a", BreakerState.OPEN, "quota")
    assert a.opens_at == pytest.approx(time.time() + 5, abs=3)
    assert (b.model, b.breaker, b.requests, b.failures) == ("b", BreakerState.CLOSED, 1, 0.0)
    assert [(each.model, each.left, each.requests) for each in status.budgets] == [
        ("a", 500, 1),
        ("b", 500, 1),
    ]
    (limit,) = status.limits
    assert (limit.scope, limit.concurrency, limit.on_the_way) == ("provider scripted", 7, 0)
    assert limit.requests_left == pytest.approx(98, abs=4)


async def test_how_a_process_ended_is_kept_and_shown(tmp_path: Path):
    async with app(tmp_path) as podium:
        await podium.run(asks, "it")
    shell = Shell(tmp_path)
    shown = shell.podium("gateway", "status")
    assert shown.code == 0
    assert "none works on it now" in shown.out
    assert "\x1b" not in shown.out
    rows = [line.split() for line in shown.out.splitlines()]
    assert ["scripted", "b", "-", "closed"] in [row[:4] for row in rows]
    assert ["scripted", "a", "500/500", "1", "0"] in rows
    assert any(row[:2] == ["provider", "scripted"] and row[-1] == "0/7" for row in rows)
    told = shell.podium("gateway", "status", "--json").json
    assert told["is_owned"] is False
    assert [lane["breaker"] for lane in told["lanes"]] == ["open", "closed"]
