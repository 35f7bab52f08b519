"""What strangers send: nothing of it breaks the server, reaches an upstream that it should not, or tells a secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from podium.providers import Script, say
from podium.server import protocol
from tests.server.support import new_key, openai_at, serving
from tests.wire import Raw, WireServer, ok, unauthorized

ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
TALKS = {"m": "scripted:talks"}


def talkative() -> dict[str, Script]:
    return {"talks": Script(lambda _: say("Hello there."))}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"model":1}',
        b'{"model":""}',
        b'{"model":null,"messages":[]}',
        b'{"model":"m"}',
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":{}}',
        b'{"model":"m","messages":[{"role":"robot","content":"x"}]}',
        b'{"model":"m","messages":[{"role":"user"}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://127.0.0.1/"}}]}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":"yes"}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":-1}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":1e400}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":true}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":1000000}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}',
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
)
async def test_bodies_that_cannot_be_used_are_answered_with_what_is_wrong(tmp_path, body):
    async with serving(tmp_path, aliases=TALKS, scripts=talkative()) as server, server.http() as client:
        got = await client.post("/v1/chat/completions", content=body)
        assert got.status_code == 400
        assert got.json()["error"]["message"]
        assert (await client.post("/v1/chat/completions", json=ASK)).status_code == 200


@pytest.mark.parametrize(
    "model",
    [
        "nothing",
        "openai:x@http://127.0.0.1:9/v1",
        "openai:x@https://evil.example/v1",
        "openai/x@http://127.0.0.1:9/v1",
        "local:/etc/passwd",
        "local:../../secret.gguf",
        "scripted:talks",
        "replay:tape",
        "record:tape",
        "google:../../v1beta/files",
        "google:x?key=1",
        "google:x%2f..%2ffiles",
        "openai:x\r\nX-Evil: 1",
        "openai:" + "x" * 1000,
        "openai:\u0000",
        "openai:\N{RIGHT-TO-LEFT OVERRIDE}x",
        "[bold]openai:x[/bold]",
        "'; DROP TABLE requests; --",
    ],
)
async def test_a_models_name_leads_to_no_server_file_or_script(tmp_path, model):
    async with WireServer() as wire:
        environment = {**openai_at(wire), "GOOGLE_API_KEY": "g", "GOOGLE_GEMINI_BASE_URL": wire.url}
        async with serving(tmp_path, aliases=TALKS, scripts=talkative(), environment=environment) as server:
            async with server.http() as client:
                got = await client.post("/v1/chat/completions", json={**ASK, "model": model})
            (row,) = await server.log(1)
    assert got.status_code == 404
    assert got.json()["error"]["code"] == "model_not_found"
    assert wire.requests == []
    assert row.error == "model_not_found"
    assert len(row.model) <= 200


async def test_a_model_hidden_behind_another_of_the_same_name_is_not_reached(tmp_path):
    token = await new_key(tmp_path, models=("openai:cheap",))
    ask = '"messages":[{"role":"user","content":"model"}]'
    smuggled = [
        '{"model":"openai:dear","model":"openai:cheap",%s}',
        '{"mod\\u0065l":"openai:dear","model":"openai:cheap",%s}',
        '{"model":"openai:dear","mod\\u0065l":"openai:cheap",%s}',
        '{"x":{"model":"openai:dear"},"model":"openai:cheap",%s}',
        '{"x":"\\"model\\":\\"openai:dear\\"","model":"openai:cheap",%s}',
    ]
    async with WireServer() as wire:
        raw: list[bytes] = []
        wire.always(ok("Yes."))
        async with serving(tmp_path, environment=openai_at(wire)) as server, server.http(token) as client:
            for body in smuggled:
                got = await client.post("/v1/chat/completions", content=(body % ask).encode())
                assert got.status_code == 200, got.text
        del raw
    for received in wire.requests:
        assert received.body["model"] == "cheap"
        assert json.dumps(received.body).count("openai:cheap") == 0


async def test_bodies_beyond_the_cap_are_refused_declared_or_not(tmp_path):
    async with serving(tmp_path, aliases=TALKS, scripts=talkative(), max_body=10_000) as server:
        async with server.http() as client:
            declared = await client.post("/v1/chat/completions", content=b"x" * 20_000)

        async def drip() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 1000

        async with server.http() as client:
            chunked = await client.post("/v1/chat/completions", content=drip())
    assert declared.status_code == chunked.status_code == 413
    assert declared.json()["error"]["code"] == "request_too_large"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/../../etc/passwd", 404),
        ("GET", "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        ("GET", "/v1/models/local:%2Fetc%2Fpasswd", 404),
        ("GET", "/v1/models/", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "//v1/chat/completions", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/health", 405),
    ],
)
async def test_addresses_at_which_there_is_nothing(tmp_path, method, path, status):
    async with serving(tmp_path, aliases=TALKS, scripts=talkative()) as server, server.http() as client:
        got = await client.request(method, server.origin + path)
    assert got.status_code == status
    assert "error" in got.json()


async def test_what_a_client_says_of_itself_goes_to_no_upstream_and_the_upstreams_to_no_client(tmp_path):
    token = await new_key(tmp_path)
    async with WireServer() as wire:
        wire.reply(Raw(b'{"ok":1}', headers=(("set-cookie", "a=b"), ("openai-organization", "org-secret"))))
        async with (
            serving(tmp_path, environment=openai_at(wire), hosts=("evil.example",)) as server,
            server.http(token) as client,
        ):
            headers = {
                "cookie": "session=1",
                "openai-organization": "theirs",
                "x-forwarded-for": "10.0.0.1",
                "x-api-key": "k",
                "host": "evil.example",
                "openai-beta": "assistants=v2",
            }
            got = await client.post(
                "/v1/chat/completions", json={**ASK, "model": "openai:x"}, headers=headers
            )
    (received,) = wire.requests
    assert token not in str(received)
    assert received.headers["authorization"] == "Bearer sk-upstream-secret"
    assert received.headers["openai-beta"] == "assistants=v2"
    assert not {"cookie", "openai-organization", "x-forwarded-for", "x-api-key"} & set(received.headers)
    assert "evil" not in received.headers["host"]
    assert not {"set-cookie", "openai-organization", "server"} & set(got.headers)


async def test_the_upstreams_refusal_of_our_key_is_not_the_clients_and_tells_nothing_of_it(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(unauthorized())
        async with server.openai() as client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="openai:x", messages=ASK["messages"])
    assert caught.value.status_code == 502
    assert "sk-upstream-secret" not in str(caught.value.response.text)


async def test_a_secret_that_an_upstream_repeats_is_blotted_out(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(Raw(b'{"error":{"message":"no sk-upstream-secret"}}', status=400))
        async with server.http() as client:
            got = await client.post("/v1/chat/completions", json={**ASK, "model": "openai:x"})
    assert got.status_code == 400
    assert "sk-upstream" not in got.text


async def test_a_redirection_is_not_followed_with_the_key(tmp_path):
    async with WireServer() as wire, WireServer() as elsewhere:
        wire.reply(Raw(b"", status=307, headers=(("location", elsewhere.url),)))
        async with serving(tmp_path, environment=openai_at(wire)) as server, server.http() as client:
            got = await client.post("/v1/chat/completions", json={**ASK, "model": "openai:x"})
    assert got.status_code == 502
    assert elsewhere.requests == []


async def raw(server, data: bytes, *, rest: bytes = b"", seconds: float = 5.0) -> bytes:
    """What comes back for these bytes until the connection is closed."""
    host, port = server.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(seconds):
            return await reader.read(100_000)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nabc",
        b"GET /health HTTP/1.1\r\nhost: x\r\nx: a\rb\r\n\r\n",
        b"GET /" + b"a" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % i for i in range(20_000)),
    ],
)
async def test_what_is_no_request_is_refused_and_the_connection_closed(tmp_path, data):
    async with serving(tmp_path, aliases=TALKS, scripts=talkative()) as server:
        got = await raw(server, data)
        assert got.startswith(b"HTTP/1.1 400") or got == b""
        async with server.http() as client:
            assert (await client.get("/health")).status_code == 200


async def test_a_head_that_never_ends_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with serving(tmp_path, aliases=TALKS, scripts=talkative()) as server:
        assert await raw(server, b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n") == b""
        assert await raw(server, b"") == b""


async def test_a_body_that_never_ends_is_not_waited_for(tmp_path):
    async with serving(tmp_path, aliases=TALKS, scripts=talkative(), receive=0.2) as server:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
        got = await raw(server, head)
    assert got.startswith(b"HTTP/1.1 408")
