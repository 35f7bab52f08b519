"""A page of a stranger, open in somebody's browser, cannot make the server on his machine work for it."""

from __future__ import annotations

from typing import Any

import pytest

from podium.providers import Script, say
from tests.server.support import new_key, serving

ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
TALKS = {"m": "scripted:talks"}
PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]


def talkative() -> dict[str, Script]:
    return {"talks": Script(lambda _: say("Hello there."))}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "[::2]",
    ],
)
async def test_a_name_that_was_made_to_lead_here_is_refused(tmp_path, host):
    scripts = talkative()
    async with serving(tmp_path, aliases=TALKS, scripts=scripts) as server, server.http() as client:
        for path in PATHS:
            got = await client.post(path, json=ASK, headers={"host": host})
            assert (got.status_code, got.json()["error"]["code"]) == (403, "host_not_allowed")
        assert (await client.get("/v1/models", headers={"host": host})).status_code == 403
    assert scripts["talks"].requests == []


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "127.0.0.1:1", "127.8.8.8", "[::1]:8080", "desk.example"]
)
async def test_names_of_this_machine_and_those_that_are_allowed_are_served(tmp_path, host):
    async with (
        serving(tmp_path, aliases=TALKS, scripts=talkative(), hosts=("desk.example",)) as server,
        server.http() as client,
    ):
        got = await client.post("/v1/chat/completions", json=ASK, headers={"host": host})
    assert got.status_code == 200


async def test_a_server_that_others_reach_may_be_called_anything(tmp_path):
    token = await new_key(tmp_path)
    async with (
        serving(tmp_path, aliases=TALKS, scripts=talkative(), public=True) as server,
        server.http(token) as client,
    ):
        got = await client.post("/v1/chat/completions", json=ASK, headers={"host": "api.example"})
    assert got.status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
@pytest.mark.parametrize("keyed", [False, True], ids=["open", "keyed"])
async def test_a_foreign_page_is_refused(tmp_path, origin, keyed):
    scripts = talkative()
    token = await new_key(tmp_path) if keyed else None
    async with serving(tmp_path, aliases=TALKS, scripts=scripts) as server, server.http(token) as client:
        got = await client.post("/v1/chat/completions", json=ASK, headers={"origin": origin})
        asked = await client.options("/v1/chat/completions", headers={"origin": origin})
    assert (got.status_code, got.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert asked.status_code == 403
    assert "access-control-allow-origin" not in got.headers
    assert scripts["talks"].requests == []


async def test_a_page_that_is_allowed_may_ask_and_read_the_answer(tmp_path):
    page = "https://chat.example"
    async with (
        serving(tmp_path, aliases=TALKS, scripts=talkative(), origins=(page,)) as server,
        server.http() as client,
    ):
        asks = {"origin": page, "access-control-request-method": "POST"}
        asked = await client.options("/v1/chat/completions", headers=asks)
        got = await client.post("/v1/chat/completions", json=ASK, headers={"origin": page})
        own = await client.post("/v1/chat/completions", json=ASK, headers={"origin": server.origin})
    assert asked.status_code == 204
    assert "content-type" in asked.headers["access-control-allow-headers"]
    assert (got.status_code, got.headers["access-control-allow-origin"]) == (200, page)
    assert own.status_code == 200


async def test_a_page_that_is_allowed_may_send_the_headers_that_its_library_adds(tmp_path):
    page = "https://chat.example"
    added = ["x-stainless-lang", "x-stainless-retry-count"]
    strange = ["x bad", 'x-"quoted"', "x" * 65]
    many = [f"x-{number}" for number in range(500)]
    async with (
        serving(tmp_path, aliases=TALKS, scripts=talkative(), origins=(page,)) as server,
        server.http() as client,
    ):

        async def allowed(origin: str, names: list[str]) -> tuple[int, list[str]]:
            asks = {"origin": origin, "access-control-request-method": "POST"}
            asks["access-control-request-headers"] = ",".join(names)
            got = await client.options("/v1/chat/completions", headers=asks)
            return got.status_code, got.headers.get("access-control-allow-headers", "").split(", ")

        usual = (await allowed(page, []))[1]
        assert await allowed(page, [*added, *strange, "Content-Type"]) == (204, [*usual, *added])
        assert await allowed("https://evil.example", added) == (403, [""])
        assert len((await allowed(page, many))[1]) == len(usual) + 64


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ],
)
async def test_a_body_that_does_not_say_that_it_is_json_is_not_read(tmp_path, kind):
    scripts = talkative()
    async with serving(tmp_path, aliases=TALKS, scripts=scripts) as server, server.http() as client:
        for path in PATHS:
            got = await client.post(path, json=ASK, headers={"content-type": kind})
            assert (got.status_code, got.json()["error"]["code"]) == (415, "unsupported_media_type")
        said = {"content-type": "application/json; charset=utf-8"}
        assert (await client.post(PATHS[0], json=ASK, headers=said)).status_code == 200
    assert len(scripts["talks"].requests) == 1
