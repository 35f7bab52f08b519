"""Failures of hosted models: each falls into one class, whichever vendor it comes from."""

from __future__ import annotations

import asyncio
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from podium.domain.answers import FailureKind, Usage
from podium.ports.models import FinishReason, ModelFailure, ModelReply
from podium.providers import Providers
from tests import wire
from tests.providers.asking import KEY, VENDORS, Line, ask
from tests.wire import Problem, Raw, Reply

FAILURES: dict[str, tuple[Reply, FailureKind]] = {
    "a bad request": (wire.bad_request(), FailureKind.BAD_REQUEST),
    "an unprocessable request": (Raw(b'{"error": {"message": "no"}}', 422), FailureKind.BAD_REQUEST),
    "a wrong key": (wire.unauthorized(), FailureKind.AUTHENTICATION),
    "a key without rights": (wire.forbidden(), FailureKind.AUTHENTICATION),
    "an unknown model": (wire.not_found(), FailureKind.NOT_FOUND),
    "a redirect": (Raw(b"", 308, headers=(("location", "http://127.0.0.1:1/"),)), FailureKind.NOT_FOUND),
    "a request timeout": (wire.timed_out(), FailureKind.SERVER),
    "a rate limit": (wire.rate_limited(), FailureKind.RATE_LIMIT),
    "no credit": (wire.quota_exceeded(), FailureKind.QUOTA),
    "a prompt too long": (wire.context_window(), FailureKind.CONTEXT_WINDOW),
    "an internal error": (wire.server_error(), FailureKind.SERVER),
    "a bad gateway": (Raw(b"<html>Bad gateway</html>", 502, "text/html"), FailureKind.SERVER),
    "a service that is down": (wire.unavailable(), FailureKind.OVERLOADED),
    "an overload": (wire.overloaded(), FailureKind.OVERLOADED),
    "a reset": (wire.reset(), FailureKind.RESET),
    "a reset in mid-reply": (wire.reset_midway(), FailureKind.RESET),
    "a body cut off": (wire.half_written(), FailureKind.RESET),
    "a reply that ends early": (wire.ends_early(), FailureKind.RESET),
    "an error in mid-reply": (wire.error_midway(Problem.SERVER_ERROR), FailureKind.SERVER),
    "garbage": (wire.garbage(), FailureKind.SERVER),
    "a web page": (wire.web_page(), FailureKind.SERVER),
    "nonsense": (Raw(b"nonsense {"), FailureKind.SERVER),
}


@pytest.mark.parametrize("what", FAILURES)
async def test_every_failure_has_one_class(line: Line, what: str):
    reply, kind = FAILURES[what]
    line.server.reply(reply)
    failure = await line.fail()
    assert failure.kind is kind, str(failure)
    assert len(line.server.requests) == 1, "a failed request was repeated"


@pytest.mark.parametrize("what", FAILURES)
async def test_a_message_is_one_short_line_that_names_the_model_and_no_key(line: Line, what: str):
    line.server.reply(FAILURES[what][0])
    failure = await line.fail()
    message = str(failure)
    assert message.isprintable()
    assert len(message) <= 300
    assert "test-model" in message
    assert KEY not in "".join(traceback.format_exception(failure))
    assert failure.__context__ is None
    assert failure.__cause__ is None


async def test_the_key_is_blotted_out_where_the_service_repeats_it(line: Line):
    line.server.reply(wire.unauthorized())
    assert "[key]" in str(await line.fail())


async def test_a_message_made_to_mislead_a_terminal_is_tamed(line: Line):
    line.server.reply(wire.bad_request("\x1b[31mred\x1b[0m\r\n\u202eevil" + "x" * 1000))
    message = str(await line.fail())
    assert message.isprintable()
    assert len(message) == 300


async def test_the_service_says_what_is_wrong(line: Line):
    line.server.reply(wire.bad_request("messages: roles must alternate"))
    assert "messages: roles must alternate" in str(await line.fail())


async def test_garbage_in_mid_reply_is_not_taken_for_a_reply(line: Line):
    line.server.reply(wire.garbage_midway())
    assert (await line.fail()).kind in {FailureKind.SERVER, FailureKind.RESET}


DEEP = b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize("in_pieces", [True, False])
async def test_a_reply_nested_too_deeply_is_called_so(line: Line, in_pieces: bool):
    head = b"event: message_start\n" if line.server.vendor == "anthropic" else b""
    streamed = Raw(head + b"data: " + DEEP + b"\n\n", content_type="text/event-stream")
    line.server.reply(streamed if in_pieces else Raw(DEEP))
    failure = await line.fail(ask() if in_pieces else ask(first_token=20.0, stall=20.0))
    assert failure.kind is FailureKind.SERVER
    assert "nested too deeply" in str(failure)


SHAPES = ["[]", "1", "null", "{}", '{"choices": 1}', '{"choices": [1]}', '{"choices": [{"delta": "x"}]}']
SHAPES += [
    '{"choices": [{"delta": {"content": 7}, "finish_reason": 7}]}',
    '{"error": "x"}',
    '{"error": {"message": 5}}',
]
SHAPES += [
    '{"type": "message_start", "message": 1}',
    '{"type": "content_block_delta", "delta": 1}',
    '{"type": 3}',
]
SHAPES += ['{"candidates": 7}', '{"candidates": [{"content": 7}]}', '{"candidates": [{"finishReason": {}}]}']


@pytest.mark.parametrize("shape", SHAPES)
async def test_json_of_any_other_shape_ends_as_a_failure_or_a_reply(line: Line, shape: str):
    head = "event: message_start\n" if line.server.vendor == "anthropic" else ""
    line.server.reply(Raw(f"{head}data: {shape}\n\n".encode(), content_type="text/event-stream"))
    (outcome,) = await asyncio.gather(line.complete(), return_exceptions=True)
    assert isinstance(outcome, ModelFailure | ModelReply), repr(outcome)
    assert str(outcome).isprintable()


async def test_an_overload_in_mid_reply_is_retried_elsewhere(line: Line):
    line.server.reply(wire.error_midway(Problem.OVERLOADED))
    # OpenAI's event has no word for it: what it calls a server error is one.
    expected = FailureKind.SERVER if line.server.vendor == "openai" else FailureKind.OVERLOADED
    assert (await line.fail()).kind is expected


async def test_a_blocked_prompt_is_known_as_such(line: Line):
    line.server.reply(wire.blocked())
    if line.server.vendor == "google":
        assert (await line.complete()).finish is FinishReason.CONTENT_FILTER
    else:
        assert (await line.fail()).kind is FailureKind.CONTENT_FILTER


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": None, "retry_after_ms": "250"}, 0.25),
        ({"retry_after": None}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-3"}, None),
    ],
)
async def test_how_long_to_wait_is_read_from_the_headers(line: Line, headers, seconds):
    line.server.reply(wire.rate_limited(**headers))
    assert (await line.fail()).retry_after == seconds


async def test_how_long_to_wait_may_be_a_date(line: Line):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    line.server.reply(wire.rate_limited(date))
    waits = (await line.fail()).retry_after
    assert waits is not None
    assert 55 < waits <= 60


async def test_tokens_counted_before_a_failure_are_told():
    # Only Anthropic counts the prompt at the beginning of the reply.
    async with wire.WireServer("anthropic") as server:
        providers = Providers({})
        provider, model = providers.find(server.name())
        server.reply(wire.reset_midway())
        with pytest.raises(ModelFailure) as caught:
            await provider.complete(model, ask())
        assert caught.value.usage == Usage(11, 1)
        await providers.close()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nobody_at_the_address_is_a_failure_to_connect(vendor: str):
    providers = Providers({})
    with wire.refusing_url() as url:
        provider, model = providers.find(f"{vendor}:test-model@{url}")
        with pytest.raises(ModelFailure) as caught:
            await provider.complete(model, ask())
    await providers.close()
    assert caught.value.kind is FailureKind.CONNECT
    assert url in str(caught.value)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_server_without_tls_is_a_failure_to_connect(vendor: wire.Vendor):
    providers = Providers({})
    async with wire.WireServer(vendor) as server:
        provider, model = providers.find(server.name().replace("http://", "https://"))
        with pytest.raises(ModelFailure) as caught:
            await provider.complete(model, ask())
        await providers.close()
    assert caught.value.kind is FailureKind.CONNECT
    assert "SSL" in str(caught.value)
