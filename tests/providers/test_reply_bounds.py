"""What a service may send: a reply is read up to a bound, unpacked, and never collected beyond it."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from dataclasses import replace

import pytest

from podium.domain.answers import FailureKind
from podium.ports.models import ModelFailure, ModelRequest
from podium.providers.bounds import Bounds
from tests.providers.asking import Line, ask
from tests.wire import Endless, Raw, Received, Reply, ok
from tests.wire.dialects import event
from tests.wire.openai import OpenAI

MEGABYTE = 1_000_000
LONGEST = 100_000
MOST = Bounds.of(LONGEST)

EVENTS = "text/event-stream"


def bomb(size: int) -> bytes:
    """Pack so many bytes of JSON that is not over yet."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packing.compress(b'{"a": "')]
    parts += [packing.compress(b" " * MEGABYTE) for _ in range(size // MEGABYTE)]
    return b"".join((*parts, packing.flush()))


PACKED = (("content-encoding", "gzip"),)

TOO_MUCH: dict[str, Reply] = {
    "a bomb": Raw(bomb(150 * MEGABYTE), headers=PACKED),
    "a bomb of events": Raw(bomb(150 * MEGABYTE), content_type=EVENTS, headers=PACKED),
    "an error that is a bomb": Raw(bomb(150 * MEGABYTE), 500, headers=PACKED),
    "a body without an end": Endless(b" " * 100_000),
    "a line without an end": Endless(b"x" * 100_000, b"data: ", EVENTS),
    "an event without an end": Endless((b"data: " + b"x" * 10_000 + b"\n") * 10, content_type=EVENTS),
    "what follows a packed reply": Raw(gzip.compress(b"{}") + b"x" * 8 * MEGABYTE, headers=PACKED),
}


def asked(*, in_pieces: bool) -> ModelRequest:
    request = replace(ask(), longest=LONGEST)
    return request if in_pieces else replace(ask(first_token=20.0, stall=20.0), longest=LONGEST)


async def refused(line: Line, request: ModelRequest) -> tuple[ModelFailure, int]:
    """Return the failure, and how many bytes more than before were in use at the worst."""
    await warm(line)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        failure = await line.fail(request)
        return failure, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


async def warm(line: Line) -> None:
    line.server.always(ok("Yes."))
    await line.complete()


@pytest.mark.parametrize("in_pieces", [True, False])
@pytest.mark.parametrize("what", TOO_MUCH)
async def test_what_is_too_much_ends_the_request_before_it_fills_the_memory(
    line: Line, what: str, in_pieces: bool
):
    line.server.reply(ok("Yes."), TOO_MUCH[what])
    failure, grown = await refused(line, asked(in_pieces=in_pieces))
    assert failure.kind is FailureKind.SERVER, str(failure)
    assert "sent more than" in str(failure)
    assert "test-model" in str(failure)
    assert grown < 4 * MOST.body + 10 * MEGABYTE


async def test_pings_without_an_end_are_too_much(openai: Line):
    openai.server.reply(Endless((b": " + b"x" * 10_000 + b"\n\n") * 10, content_type=EVENTS))
    assert "sent more than" in str(await openai.fail(asked(in_pieces=True)))


async def test_after_it_the_line_serves_the_next_request(line: Line):
    line.server.reply(TOO_MUCH["a bomb"], TOO_MUCH["a line without an end"], ok("Yes."))
    await line.fail(asked(in_pieces=False))
    await line.fail(asked(in_pieces=True))
    assert (await line.complete()).text == "Yes."


@pytest.mark.parametrize("in_pieces", [True, False])
async def test_a_reply_as_long_as_may_be_is_read_whole(line: Line, in_pieces: bool):
    text = "word " * 4_000
    line.server.reply(ok(text, logprobs=-0.25))
    reply = await line.complete(replace(asked(in_pieces=in_pieces), longest=len(text)))
    assert reply.text == text


async def test_a_packed_reply_is_read(openai: Line):
    def packed(request: Received) -> Reply:
        assert "br" not in request.headers["accept-encoding"]
        return Raw(gzip.compress(OpenAI().whole(ok("Yes."), request)), headers=PACKED)

    openai.server.reply(packed)
    assert (await openai.complete(asked(in_pieces=False))).text == "Yes."


async def test_a_packed_stream_is_read(openai: Line):
    def packed(request: Received) -> Reply:
        telling = OpenAI().telling(ok("Yes, it is."), request)
        body = b"".join((*telling.opening, *telling.pieces, *telling.closing))
        return Raw(gzip.compress(body), content_type=EVENTS, headers=PACKED)

    openai.server.reply(packed)
    assert (await openai.complete(asked(in_pieces=True))).text == "Yes, it is."


@pytest.mark.parametrize(
    ("encoding", "body"), [("br", b"\x1b\x00"), ("gzip, gzip", b"x"), ("gzip", b"not packed")]
)
async def test_what_was_packed_in_another_way_is_no_reply(openai: Line, encoding: str, body: bytes):
    openai.server.reply(Raw(body, headers=(("content-encoding", encoding),)))
    failure = await openai.fail()
    assert failure.kind is FailureKind.SERVER
    assert "packed" in str(failure)


async def test_events_end_in_each_of_the_ways_that_lines_do(openai: Line):
    def ended(sign: bytes) -> Raw:
        pings = b": " + b"x" * 100_000 + sign * 2
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        said = event(
            {**chunk, "choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}
        )
        return Raw(pings * 40 + said + event("[DONE]"), content_type=EVENTS)

    assert MOST.body < 40 * 100_000
    openai.server.reply(ended(b"\n"), ended(b"\r\n"), ended(b"\r"))
    for _ in range(3):
        assert (await openai.complete(asked(in_pieces=True))).text == "Yes."
