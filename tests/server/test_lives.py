"""Requests that end early, servers that end, and upstreams that do not answer."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from podium.domain.answers import FailureKind
from podium.ports.models import ModelFailure, ModelReply, ModelRequest, TextDelta, ToolCall
from podium.providers import Script, say
from tests.server.support import openai_at, serving
from tests.wire import WireServer, drip, error_midway, ok, reset, silent, stalled_midway

ASK: Any = [{"role": "user", "content": "Say hello."}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_that_goes_away_ends_the_request_at_the_upstream(tmp_path, stream):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(drip("one " * 500, pause=0.02) if stream else replace(ok("Late."), delay=2))
        async with server.http() as client:
            body = {"model": "openai:x", "messages": ASK, "stream": stream}
            task = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await wire.received(1)
            task.cancel()
        (row,) = await server.log(1)
        assert row.error == "client_gone"
        async with asyncio.timeout(20):
            await asyncio.gather(*wire._tasks, return_exceptions=True)


async def test_a_client_that_goes_away_ends_the_request_on_the_typed_lane(tmp_path):
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def waits(_: ModelRequest) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    async with (
        serving(tmp_path, aliases={"m": "scripted:w"}, scripts={"w": Script(waits)}) as server,
        server.http() as client,
    ):
        body = {"model": "m", "messages": ASK}
        task = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        async with asyncio.timeout(20):
            await begun.wait()
            task.cancel()
            await ended.wait()
        (row,) = await server.log(1)
    assert (row.lane, row.error) == ("typed", "client_gone")


@pytest.mark.parametrize(
    ("reply", "status", "error"),
    [(silent(), 504, "timeout"), (reset(), 502, "reset")],
    ids=["silence", "reset"],
)
async def test_an_upstream_that_does_not_answer_is_told_as_such(tmp_path, reply, status, error):
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire), total=0.3) as server,
        server.openai() as client,
    ):
        wire.reply(reply)
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="openai:x", messages=ASK)
        (row,) = await server.log(1)
    assert caught.value.status_code == status
    assert (row.status, row.error) == (status, error)


async def test_a_stream_that_falls_silent_ends_with_an_error_the_client_sees(tmp_path):
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire), silence=0.1, send=0.1) as server,
        server.openai() as client,
    ):
        wire.reply(stalled_midway())
        stream = await client.chat.completions.create(model="openai:x", messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match="did not answer in time"):
            [chunk async for chunk in stream]
        (row,) = await server.log(1)
    assert row.error == "timeout"


async def test_an_error_inside_a_stream_goes_on_to_the_client(tmp_path):
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire)) as server,
        server.openai() as client,
    ):
        wire.reply(error_midway())
        stream = await client.chat.completions.create(model="openai:x", messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match="overloaded"):
            [chunk async for chunk in stream]


async def test_what_was_heard_is_not_begun_anew_when_a_typed_stream_fails(tmp_path):
    async def breaks(request: ModelRequest) -> ModelReply:
        assert request.on_delta is not None
        request.on_delta(TextDelta("Once upon"))
        await asyncio.sleep(0)
        raise ModelFailure(FailureKind.RESET, "it broke off")

    scripts = {"a": Script(breaks), "b": Script(["never asked"])}
    async with (
        serving(tmp_path, aliases={"m": "scripted:a,scripted:b"}, scripts=scripts) as server,
        server.openai() as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        heard = []
        with pytest.raises(openai.APIError, match="broke off"):
            async for chunk in stream:
                heard.append(chunk.choices[0].delta.content)  # noqa: PERF401 - it ends in the middle
    assert "".join(piece for piece in heard if piece) == "Once upon"
    assert scripts["b"].requests == []


async def test_tools_are_offered_called_and_answered_in_the_clients_format(tmp_path):
    call = ToolCall("call_1", "weather", '{"city":"Bern"}')
    asking = ModelReply("", say("").finish, say("").usage, "m", calls=(call,))
    script = Script([asking, "It is sunny in Bern."])
    tool: Any = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}},
    }
    async with (
        serving(tmp_path, aliases={"m": "scripted:s"}, scripts={"s": script}) as server,
        server.openai() as client,
    ):
        first = await client.chat.completions.create(model="m", messages=ASK, tools=[tool])
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls"
        assert message.tool_calls
        answer = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
        said = [*ASK, message.model_dump(exclude_none=True), answer]
        second = await client.chat.completions.create(model="m", messages=said, tools=[tool])
    assert second.choices[0].message.content == "It is sunny in Bern."
    offered, told = script.requests[0].tools[0], script.requests[1].messages[-1].parts[0]
    assert (offered.name, offered.schema["type"]) == ("weather", "object")
    assert (told.id, told.name, told.text) == ("call_1", "weather", "sunny")  # type: ignore[union-attr]


@asynccontextmanager
async def command(folder: Path, *options: str) -> AsyncIterator[tuple[subprocess.Popen[str], str]]:
    """`podium serve` as a program; yields it and its address."""
    arguments = [sys.executable, "-m", "podium.cli", "serve", "--port", "0", "--json", *options]
    process = subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert line, process.stderr and process.stderr.read()
        yield process, json.loads(line)["url"].removesuffix("/v1")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sigterm_lets_requests_at_work_end_and_leaves_the_log_whole(tmp_path, workers):
    async with WireServer() as wire:
        alias = f"m=openai:x@{wire.url}"
        async with command(tmp_path, "--alias", alias, "--workers", workers) as (process, origin):
            wire.reply(drip("one two three four five", pause=0.2))
            async with httpx.AsyncClient(base_url=origin, timeout=60) as client:
                body = {"model": "m", "messages": ASK, "stream": True}
                task = asyncio.create_task(client.post("/v1/chat/completions", json=body))
                await wire.received(1)
                process.send_signal(signal.SIGTERM)
                got = await task
            assert got.text.endswith("data: [DONE]\n\n")
            code = await asyncio.to_thread(process.wait, 30)
            assert process.stdout is not None
            out = process.stdout.read()
    assert code == 0
    assert [json.loads(line)["status"] for line in out.splitlines()] == [200]
    assert "Say hello" not in out
    with closing(sqlite3.connect(tmp_path / "podium.db")) as conn:
        assert conn.execute("SELECT status, lane FROM requests").fetchall() == [(200, "pass_through")]


async def test_processes_that_serve_end_with_the_one_that_started_them_however_it_ends(tmp_path):
    async with (
        command(tmp_path, "--workers", "2") as (process, origin),
        httpx.AsyncClient(base_url=origin) as client,
        asyncio.timeout(60),
    ):
        await client.get("/health")
        process.kill()
        await asyncio.to_thread(process.wait, 30)
        with pytest.raises(httpx.TransportError):
            while True:
                await client.get("/health")
                await asyncio.sleep(0.05)


def podium(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "podium.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_server_that_others_can_reach_does_not_start_without_a_key(tmp_path):
    ended = podium(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert ended.returncode == 2
    assert "podium.cli keys create NAME" in ended.stderr


@pytest.mark.parametrize("alias", ["x", "=openai:y", "x=", "x=nothing:y", "a b=openai:y"])
def test_an_alias_that_leads_nowhere_stops_the_start(tmp_path, alias):
    ended = podium(tmp_path, "serve", "--alias", alias, "--port", "0")
    assert ended.returncode in {2, 4}
    assert ended.stderr.startswith("podium: ")
    assert ended.stderr.count("\n") == 1


def test_keys_are_made_listed_and_revoked(tmp_path):
    made = podium(tmp_path, "keys", "create", "web", "--budget", "$5/day", "--rpm", "60", "--json")
    token = json.loads(made.stdout)["token"]
    assert token.startswith("sk-podium-")
    assert podium(tmp_path, "keys", "create", "web").returncode == 2
    (listed,) = json.loads(podium(tmp_path, "keys", "list", "--json").stdout)
    assert (listed["name"], listed["budget"], listed["requests_per_minute"]) == ("web", "$5.00/d", 60)
    assert token not in json.dumps(listed)
    assert podium(tmp_path, "keys", "revoke", "nobody").returncode == 5
    assert podium(tmp_path, "keys", "revoke", token[:16]).returncode == 0
    shown = podium(tmp_path, "keys", "list").stdout
    assert "60 requests/min" in shown
    assert token not in shown
    (listed,) = json.loads(podium(tmp_path, "keys", "list", "--json").stdout)
    assert listed["revoked_at"] <= time.time()


async def test_the_log_is_listed_for_people_and_programs(tmp_path):
    async with serving(tmp_path, aliases={"m": "scripted:s"}, scripts={"s": Script(["Hello."])}) as server:
        async with server.http() as client:
            await client.post("/v1/chat/completions", json={"model": "m", "messages": ASK})
            await client.post("/v1/chat/completions", json={"model": "\x1b[31mred", "messages": ASK})
        await server.log(2)
    listed = json.loads(podium(tmp_path, "requests", "list", "--json").stdout)
    assert [row["status"] for row in listed] == [404, 200]
    assert listed[1]["usage"]["output_tokens"] == 1
    shown = podium(tmp_path, "requests", "list", "--failed").stdout
    assert "model_not_found" in shown
    assert "\x1b" not in shown
    assert "Hello" not in shown
