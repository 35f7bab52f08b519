"""What an upstream says in a stream: its key reaches no client, and its errors reach the log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from podium.server.usage import StreamTap
from tests.server.support import new_key, openai_at, serving
from tests.wire import Raw, WireServer, bad_request, error_midway, ok

KEY = "sk-upstream-secret"
ASK: Any = {"model": "openai:x", "messages": [{"role": "user", "content": "Hello?"}]}


def event(**data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


CHATS = event(choices=[{"index": 0, "delta": {"content": "Hel"}}]) + event(
    error={"message": f"overloaded Bearer {KEY}", "type": "overloaded_error", "code": None}
)
RESPONDS = (
    b"event: response.created\n"
    + event(type="response.created", response={"error": None})
    + b"event: response.failed\n"
    + event(type="response.failed", response={"error": {"code": "server_error", "message": f"no {KEY}"}})
)
EVENT = b"event: error\n" + event(type="error", code="rate_limit_exceeded", message=f"no {KEY}")


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (CHATS, "upstream_overloaded_error"),
        (RESPONDS, "upstream_server_error"),
        (EVENT, "upstream_rate_limit_exceeded"),
        (event(error=f"no {KEY}"), "upstream_error"),
        (event(error={"code": "\x1b[31m", "message": KEY}), "upstream_error"),
    ],
    ids=["chat", "response", "event", "text", "odd"],
)
async def test_an_error_in_a_stream_is_masked_and_logged(tmp_path, stream, error):
    async with WireServer() as wire:
        wire.always(Raw(stream, content_type="text/event-stream"))
        async with serving(tmp_path, environment=openai_at(wire)) as server:
            async with server.http() as client:
                got = await client.post("/v1/chat/completions", json={**ASK, "stream": True})
                assert KEY not in got.text
                assert "[key]" in got.text
                for _ in range(4):
                    await client.post("/v1/chat/completions", json={**ASK, "stream": True})
                after = await client.post("/v1/chat/completions", json={**ASK, "stream": True})
            rows = await server.log(6)
    assert (rows[0].status, rows[0].error) == (200, error)
    # The breaker has learnt of it.
    assert after.status_code == 503


async def test_a_real_clients_stream_that_breaks_with_an_error_is_logged(tmp_path):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(error_midway(), ok("Hello there."))
        async with server.http() as client:
            for _ in range(2):
                await client.post("/v1/chat/completions", json={**ASK, "stream": True})
        rows = await server.log(2)
    assert rows[0].error is not None
    assert rows[0].error.startswith("upstream_")
    assert rows[1].error is None


@pytest.mark.parametrize("reply", [Raw(f'{{"echo": "Bearer {KEY}"}}'.encode()), bad_request(f"no {KEY}")])
async def test_a_whole_reply_is_masked_too(tmp_path, reply):
    async with WireServer() as wire, serving(tmp_path, environment=openai_at(wire)) as server:
        wire.reply(reply)
        async with server.http() as client:
            got = await client.post("/v1/chat/completions", json=ASK)
    assert KEY not in got.text
    assert "[key]" in got.text


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_a_key_in_pieces_is_masked_wherever_it_is_cut(size):
    tap = StreamTap(hide=False, key=KEY)
    chunks = [CHATS[at : at + size] for at in range(0, len(CHATS), size)]
    got = b"".join([tap.feed(chunk) for chunk in chunks]) + tap.rest()
    assert got == CHATS.replace(KEY.encode(), b"[key]")
    assert tap.error == "overloaded_error"


@pytest.mark.parametrize("before", range(0, 20, 3))
def test_a_key_in_a_line_without_end_is_masked_at_every_cut(before):
    tap = StreamTap(hide=False, key=KEY)
    line = b"x" * (8 * 1024 * 1024 - before)
    got = tap.feed(line) + tap.feed(b"y" + KEY[:9].encode()) + tap.feed(KEY[9:].encode() + b"z") + tap.rest()
    assert got == line + b"y[key]z"


def test_words_about_errors_are_none():
    tap = StreamTap(hide=False, key=KEY)
    said = event(choices=[{"delta": {"content": '{"error": {"code": "x"}}'}}], error=None)
    assert tap.feed(said) == said
    assert tap.error is None


async def test_one_clients_idempotency_key_is_not_anothers(tmp_path):
    one, two = await new_key(tmp_path, "one"), await new_key(tmp_path, "two")
    async with WireServer() as wire:
        wire.always(ok("Hello there."))
        async with serving(tmp_path, environment=openai_at(wire)) as server:
            for token in (one, one, two):
                async with server.http(token) as client:
                    headers = {"idempotency-key": "order-7"}
                    assert (
                        await client.post("/v1/chat/completions", json=ASK, headers=headers)
                    ).status_code == 200
    sent = [request.headers["idempotency-key"] for request in wire.requests]
    assert sent[0] == sent[1] != sent[2]
    assert all("order-7" not in each for each in sent)
