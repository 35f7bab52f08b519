"""`podium serve FILE.py`: one process that answers clients, works on a file's runs and fires its triggers."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.wire import WireServer, ok

ASK: Any = [{"role": "user", "content": "Say hello."}]
JOBS = """
from podium import Budget, OnEvent, prompt, workflow, wait_for_event

day = Budget("1000 tokens/day")
name = prompt("name", "Who is {who}?", models=["openai:x@{url}"], max_tokens=100)


@workflow
async def welcome(payload: dict[str, str]) -> str:
    return (await name(who=payload["who"])).value


@workflow
async def waits(_: str) -> str:
    return await wait_for_event("go", str)


knock = OnEvent("knock", welcome)
hold = OnEvent("hold", waits)
"""


def written(folder: Path, wire: WireServer) -> Path:
    file = folder / "jobs.py"
    file.write_text(JOBS.replace("{url}", wire.url))
    return file


def podium(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "podium.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@asynccontextmanager
async def a_server(
    folder: Path, *options: str
) -> AsyncIterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "podium.cli", "serve", *options, "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert line, process.stderr and process.stderr.read()
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def states(folder: Path, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The runs, once they are in these states."""
    async with asyncio.timeout(30):
        while True:
            listed = await asyncio.to_thread(podium, folder, "runs", "list", "--json")
            found: list[dict[str, Any]] = json.loads(listed.stdout)
            if sorted(run["state"] for run in found) == sorted(wanted):
                return found
            await asyncio.sleep(0.1)


async def test_clients_are_answered_while_triggers_fire_and_runs_are_worked_on(tmp_path):
    async with WireServer() as wire:
        wire.always(ok("Ada Lovelace"))
        file = written(tmp_path, wire)
        async with a_server(tmp_path, file.name, "--alias", f"m=openai:x@{wire.url}") as (process, told):
            assert (told["workflows"], told["triggers"]) == (
                ["welcome", "waits"],
                ["hold:waits", "knock:welcome"],
            )
            emitted = await asyncio.to_thread(podium, tmp_path, "emit", "knock", '{"who": "Ada"}', "--json")
            assert emitted.returncode == 0, emitted.stderr
            async with AsyncOpenAI(base_url=told["url"], api_key="none", max_retries=0) as client:
                said = await client.chat.completions.create(model="m", messages=ASK, max_tokens=20)
                (run,) = await states(tmp_path, ["completed"])
                # What the run has spent, clients cannot spend any more.
                try:
                    await client.chat.completions.create(model="m", messages=ASK, max_tokens=900)
                    refused = None
                except openai.RateLimitError as error:
                    refused = error.code
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 30) == 0
    assert said.choices[0].message.content == "Ada Lovelace"
    assert refused == "insufficient_quota"
    assert run["workflow"] == "welcome"


async def test_a_second_owner_is_told_so_and_serves_nothing(tmp_path):
    async with WireServer() as wire:
        file = written(tmp_path, wire)
        async with a_server(tmp_path, file.name):
            second = await asyncio.to_thread(podium, tmp_path, "serve", file.name, "--port", "0")
    assert second.returncode != 0
    assert second.stdout == ""
    assert second.stderr.startswith("podium: ")


async def test_what_was_open_is_taken_up_again_at_the_next_start(tmp_path):
    async with WireServer() as wire:
        file = written(tmp_path, wire)
        async with a_server(tmp_path, file.name) as (process, _):
            await asyncio.to_thread(podium, tmp_path, "emit", "hold", '"please"')
            (run,) = await states(tmp_path, ["waiting"])
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, 30) == 0
        async with a_server(tmp_path, file.name):
            await asyncio.to_thread(podium, tmp_path, "emit", "go", '"on"', "--to", run["id"])
            await states(tmp_path, ["completed"])


def test_models_of_prompts_are_named_only_with_a_file(tmp_path):
    ended = podium(tmp_path, "serve", "--model", "openai:x", "--port", "0")
    assert ended.returncode == 2
    assert "FILE.py" in ended.stderr


SETTINGS = """
from podium import GatewaySettings, ModelPrice, PriceSettings, ServerSettings, Settings

settings = Settings(
    gateway=GatewaySettings(budgets=["$1/day"]),
    prices=PriceSettings({"openai:x@{url}": ModelPrice("1000", "1000")}),
    server=ServerSettings(aliases={"m": ["openai:x@{url}"]}),
)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_file_of_settings_alone_gives_clients_its_aliases_prices_and_budgets(tmp_path, workers):
    async with WireServer() as wire:
        wire.always(ok("Ada Lovelace"))
        (tmp_path / "only.py").write_text(SETTINGS.replace("{url}", wire.url))
        made = await asyncio.to_thread(podium, tmp_path, "keys", "create", "site", "--budget", "$0.5/day")
        async with a_server(tmp_path, "only.py", "--workers", workers) as (process, told):
            assert (told["aliases"], told["workflows"]) == (["m"], [])
            async with AsyncOpenAI(
                base_url=told["url"], api_key=made.stdout.strip(), max_retries=0
            ) as client:
                said = await client.chat.completions.create(model="m", messages=ASK, max_tokens=20)
                with pytest.raises(openai.BadRequestError, match="a limit of"):
                    await client.chat.completions.create(model="m", messages=ASK, max_tokens=960)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 30) == 0
    assert said.choices[0].message.content == "Ada Lovelace"


IMPATIENT = """
from podium import GatewaySettings, ServerSettings, Settings

settings = Settings(
    gateway=GatewaySettings(timeout=1, budgets=["$1/day"], unpriced="allow"),
    server=ServerSettings(aliases={"one": ["openai:x@{url}"], "two": ["openai:x@{url}", "openai:y@{url}"]}),
)
"""


async def test_clients_wait_no_longer_than_the_timeout_of_the_file(tmp_path):
    async with WireServer() as wire:
        wire.reply(ok("Ada Lovelace"))
        wire.always(replace(ok("Grace Hopper"), delay=20.0))
        (tmp_path / "only.py").write_text(IMPATIENT.replace("{url}", wire.url))
        async with (
            a_server(tmp_path, "only.py") as (_, told),
            AsyncOpenAI(base_url=told["url"], api_key="none", max_retries=0) as client,
        ):
            # A budget of money, and no price: the file lets that pass.
            said = await client.chat.completions.create(model="one", messages=ASK)
            late: list[Any] = [
                client.chat.completions.create(model=model, messages=ASK, stream=streamed)
                for model in ("one", "two")
                for streamed in (False, True)
            ]
            async with asyncio.timeout(10):
                errors = await asyncio.gather(*late, return_exceptions=True)
    assert [getattr(error, "status_code", error) for error in errors] == [504] * 4
    assert said.choices[0].message.content == "Ada Lovelace"
