"""A file's `settings = Settings(...)` holds for every command that works with the file; options stand over it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podium import Budget
from podium.app.settings import retention_settings, settings_for_clients, with_concurrency, with_models
from podium.app.workflow_file import ServedFile, load_file, load_served
from podium.domain.errors import InvalidInput
from podium.settings import EngineSettings, GatewaySettings, RetentionSettings, ServerSettings, Settings
from tests.cli.support import Shell
from tests.wire import WireServer, ok

JOBS = """
from podium import (
    Budget, GatewaySettings, ModelPrice, PriceSettings, Settings, ask_human, prompt, workflow,
)

URL = "{url}"
name = prompt("name", "Who is {who}?")
settings = Settings(
    gateway=GatewaySettings(
        models=[f"openai:x@{URL}"], max_tokens=77, budgets=["$1/day"], credentials={f"openai@{URL}": ["MY_KEY"]}
    ),
    prices=PriceSettings({f"openai:{m}@{URL}": ModelPrice("1000", "1000") for m in "xy"}),
)


@workflow
async def welcome(who: str) -> str:
    return (await name(who=who)).value


@workflow
async def checked(who: str) -> str:
    human = await ask_human("Whom shall we greet?", proposal=who)
    return (await name(who=human.value)).value
"""


@pytest.fixture
async def wire():
    async with WireServer() as running:
        running.always(ok("Ada Lovelace"))
        yield running


@pytest.fixture
def jobs(tmp_path: Path, wire: WireServer) -> Shell:
    (tmp_path / "jobs.py").write_text(JOBS.replace("{url}", wire.url))
    return Shell(tmp_path, MY_KEY="sk-mine")


async def test_a_run_goes_by_the_settings_of_its_file(jobs: Shell, wire: WireServer):
    ended = await jobs.job("run", "jobs.py:welcome", "--input", '"Ada"', "--json")
    assert ended.code == 0, ended.err
    assert ended.json["spending"]["cost_nanos"] > 0
    (request,) = wire.requests
    assert (request.body["model"], request.body["max_tokens"]) == ("x", 77)
    assert request.headers["authorization"] == "Bearer sk-mine"
    budgets = (await jobs.job("budgets", "list", "--json")).json
    assert [budget["budget"] for budget in budgets] == ["$1.00/d"]


async def test_an_option_stands_over_the_settings_of_the_file(jobs: Shell, wire: WireServer):
    lines = jobs.write("who.jsonl", '"Ada"\n', '"Grace"\n')
    ended = await jobs.job(
        "run", "jobs.py:welcome", "--each", lines, "--model", f"openai:y@{wire.url}", "--json"
    )
    assert ended.code == 0, ended.err + ended.out
    assert {(request.body["model"], request.body["max_tokens"]) for request in wire.requests} == {("y", 77)}


async def test_what_goes_on_after_a_decision_goes_by_the_settings_too(jobs: Shell, wire: WireServer):
    waits = await jobs.job("run", "jobs.py:checked", "--input", '"Ada"', "--id", "a", "--json")
    assert waits.json["state"] == "waiting", waits.err
    (review,) = (await jobs.job("reviews", "list", "--json")).json
    decided = await jobs.job("reviews", "decide", review["id"], "approve", "--json")
    assert decided.code == 0, decided.err
    assert jobs.states() == {"a": "completed"}
    assert [request.body["max_tokens"] for request in wire.requests] == [77]


def test_a_file_with_several_settings_is_refused_by_name(tmp_path: Path):
    (tmp_path / "two.py").write_text(
        "from podium import Settings, workflow\n"
        "ours = Settings()\ntheirs = Settings()\n"
        "@workflow\nasync def w() -> None: ...\n"
    )
    shell = Shell(tmp_path)
    for command in (["run", "two.py:w"], ["worker", "two.py"], ["check", "two.py"], ["serve", "two.py"]):
        ended = shell.podium(*command)
        assert ended.code == 2
        assert "several Settings: 'ours', 'theirs'. Keep one" in ended.error


def test_settings_that_could_never_work_are_told_in_one_line(tmp_path: Path):
    (tmp_path / "bad.py").write_text(
        "from podium import GatewaySettings, Settings\nsettings = Settings(gateway=GatewaySettings(timeout=-1))\n"
    )
    assert (
        "bad.py:2: GatewaySettings: timeout=-1 must be a time"
        in Shell(tmp_path).podium("serve", "bad.py").error
    )


def test_one_settings_in_two_variables_is_one(tmp_path: Path):
    file = tmp_path / "one.py"
    file.write_text(
        "from podium import Budget, GatewaySettings, Settings, workflow\n"
        "day = Budget('$5/day')\n"
        "ours = theirs = Settings(gateway=GatewaySettings(timeout=7, budgets=(day,)))\n"
        "@workflow\nasync def w() -> None: ...\n"
    )
    loaded = load_file(str(file))
    assert loaded.settings.gateway.timeout == 7
    # What the settings hold would be counted twice if the file held it once more.
    assert loaded.budgets == ()


def test_a_server_takes_a_file_of_settings_alone_and_a_file_of_nothing_not(tmp_path: Path):
    file, nothing = tmp_path / "alone.py", tmp_path / "nothing.py"
    file.write_text(
        "from podium import Budget, GatewaySettings, Settings\n"
        "day = Budget('$5/day')\n"
        "settings = Settings(gateway=GatewaySettings(budgets=['$9/month'], override=['a:b'], on_outage='stale'))\n"
    )
    nothing.write_text("")
    served = load_served(str(file))
    assert served.to_do is None
    gateway = settings_for_clients(served).gateway
    assert gateway.budgets == (Budget("$9/month"), Budget("$5/day"))
    assert (gateway.override, gateway.on_outage) == ((), "fail")
    with pytest.raises(InvalidInput, match="neither workflows nor settings nor budgets"):
        load_served(str(nothing))


def test_deadlines_that_a_file_sets_bound_clients_and_those_that_it_does_not_set_shorten_nothing():
    usual = ServerSettings()
    assert settings_for_clients(ServedFile()).server == usual
    set_in_file = GatewaySettings(timeout=30, connect=2, first_token=10, stall=7)
    server = settings_for_clients(ServedFile(Settings(gateway=set_in_file))).server
    assert (server.total, server.connect, server.first_byte, server.silence) == (30, 2, 10, 7)
    longer = GatewaySettings(timeout=3600, connect=50, first_token=500, stall=500)
    assert settings_for_clients(ServedFile(Settings(gateway=longer))).server == usual
    whole = settings_for_clients(ServedFile(Settings(gateway=GatewaySettings(timeout=3)))).server
    assert (whole.total, whole.first_byte, whole.silence) == (3, 3, usual.silence)


def test_options_leave_alone_what_they_do_not_say():
    ours = Settings(
        engine=EngineSettings(max_active_runs=7),
        gateway=GatewaySettings(override=("a:b",)),
        retention=RetentionSettings(requests="9d"),
    )
    assert with_models(ours, None) == with_models(ours, []) == ours
    assert with_models(ours, ["c:d"]).gateway.override == ("c:d",)
    assert with_concurrency(ours, None, 4).engine.max_active_runs == 7
    assert with_concurrency(ours, 9, 4).engine.max_active_runs == 9
    assert with_concurrency(Settings(), None, 4).engine.max_active_runs == 4
    assert retention_settings(ours.retention, None).requests == ours.retention.requests
    assert retention_settings(ours.retention, "never").requests is None
    assert json.dumps(retention_settings(ours.retention, "1d").requests) == "86400.0"
