"""Versions of prompts: what every answer's reference stands for is kept, listed, shown and compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from podium import Budget, GatewaySettings, InvalidInput, Podium, Settings, UnknownPrompt, prompt, workflow
from podium.app.database import open_database
from podium.app.prompts import difference, found_in
from podium.domain.prompts import PromptUse
from podium.gateway.versions import version_of
from podium.providers import Script

OLD = prompt("classify", "Classify: {text}\nBe quick.", models=["scripted:a"], system="You sort mail.")
NEW = prompt("classify", "Classify: {text}\nBe exact.", models=["scripted:a"], output=bool, max_tokens=9)


@workflow
async def old(text: str) -> str:
    return (await OLD(text=text)).prompt


@workflow
async def new(text: str) -> str:
    return (await NEW(text=text)).prompt


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    path = tmp_path / "podium.db"
    script = Script(["mail"] * 3 + ['{"value": true}'])
    async with Podium(path, workflows=[old, new], scripts={"a": script}) as app:
        for _ in range(3):
            assert await app.run(old, "hi") == OLD.reference
        assert await app.run(new, "hi") == NEW.reference
    return path


async def test_each_version_is_kept_once_with_the_count_of_its_uses(database):
    async with open_database(database) as opened:
        known = await opened.prompts.list()
        assert {each.prompt: each.uses for each in known} == {version_of(OLD): 3, version_of(NEW): 1}
        assert (await opened.prompts.get(OLD.reference)).prompt == version_of(OLD)
        assert (await opened.prompts.get(f"classify@{NEW.version[:5]}")).prompt == version_of(NEW)
        assert await opened.prompts.list("other") == []


async def test_uses_are_added_up_over_restarts(database):
    async with Podium(database, workflows=[old], scripts={"a": Script(["mail"])}) as app:
        before = await app.prompts.get(OLD.reference)
        await app.run(old, "ho")
    async with open_database(database) as opened:
        after = await opened.prompts.get(OLD.reference)
    assert (before.uses, after.uses) == (3, 4)
    assert after.first_used == before.first_used
    assert (after.last_used or 0) > (before.last_used or 0)


def test_a_difference_is_readable():
    lines = difference(version_of(OLD), version_of(NEW)).splitlines()
    assert f"--- {OLD.reference} template" in lines
    assert "-Be quick." in lines
    assert "+Be exact." in lines
    assert " Classify: {text}" in lines
    assert "-You sort mail." in lines
    assert '+  "max_tokens": 9,' in lines
    assert difference(version_of(OLD), version_of(OLD)) == ""


def test_a_reference_that_means_nothing_or_too_much_is_refused():
    known = [PromptUse(version_of(each)) for each in (OLD, NEW)]
    assert found_in(known, "classify").prompt == version_of(OLD)
    with pytest.raises(UnknownPrompt, match="podium prompts list"):
        found_in(known, "classify@zzz")
    with pytest.raises(UnknownPrompt):
        found_in(known, "other")
    same = [PromptUse(version_of(OLD)), PromptUse(version_of(NEW))]
    shared = "classify@" + ("" if OLD.version[0] != NEW.version[0] else OLD.version[0])
    if shared != "classify@":
        with pytest.raises(InvalidInput):
            found_in(same, shared)


def podium(*arguments: str | Path, code: int = 0) -> str:
    command = [sys.executable, "-m", "podium.cli", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code, ended.stderr
    return ended.stdout if code == 0 else ended.stdout + ended.stderr


async def test_the_command_lists_shows_and_compares(database):
    listed = podium("prompts", "list", "--db", database)
    assert OLD.version in listed
    assert "Classify: {text} Be quick." in listed
    shown = json.loads(podium("prompts", "show", OLD.reference, "--db", database, "--json"))
    assert (shown["template"], shown["uses"]) == (OLD.template.source, 3)
    assert "You sort mail." in podium("prompts", "show", OLD.reference, "--db", database)
    assert "+Be exact." in podium("prompts", "diff", OLD.reference, NEW.reference, "--db", database)
    assert "no prompt" in podium("prompts", "show", "nobody", "--db", database, code=5)
    assert podium("budgets", "list", "--db", database) == "Nothing has been spent of any budget.\n"


def test_a_file_needs_neither_a_database_nor_a_workflow(tmp_path: Path):
    file = tmp_path / "desk.py"
    file.write_text(
        'from podium import prompt\nask = prompt("ask", "Say \\x1b[31m{what}", models=["scripted:a"])\n'
    )
    (found,) = json.loads(podium("prompts", "list", file, "--json"))
    assert (found["name"], found["uses"], found["last_used"]) == ("ask", 0, None)
    assert "\x1b" not in podium("prompts", "show", "ask", "--file", file)


def test_the_budgets_of_a_file_bound_its_runs(tmp_path: Path):
    (tmp_path / "desk.py").write_text(
        "from podium import Budget, Scope, prompt, workflow\n"
        'ask = prompt("ask", "Say {what}", models=["openai:gpt-5-mini@http://127.0.0.1:9/v1"])\n'
        'bound = Budget("5 tokens/day", scope=Scope.WORKFLOW)\n'
        "@workflow\n"
        "async def say(what: str) -> str:\n"
        "    return (await ask(what=what)).value\n"
    )
    ran = podium("run", tmp_path / "desk.py:say", "--input", '"hi"', "--db", tmp_path / "p.db", code=1)
    assert "5 tokens/d" in ran


async def test_budgets_are_listed_by_the_command(tmp_path: Path):
    settings = Settings(gateway=GatewaySettings(budgets=(Budget("5k tokens/day"),)))
    async with Podium(
        tmp_path / "p.db", workflows=[old], settings=settings, scripts={"a": Script(["mail"])}
    ) as app:
        await app.run(old, "hi")
    (found,) = json.loads(podium("budgets", "list", "--db", tmp_path / "p.db", "--json"))
    assert (found["scope"], found["subject"], found["limit"], found["unit"]) == (
        "tenant",
        "default",
        5000,
        "tokens",
    )
    assert 0 < found["spent"] == 5000 - found["left"]
    assert "5,000 tokens/d" in podium("budgets", "list", "--db", tmp_path / "p.db")
