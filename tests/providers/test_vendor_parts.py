"""What goes to hosted models beside text, and what comes back: media, tools, pieces of a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from podium.domain.answers import FailureKind
from podium.domain.media import Audio, Document, Image
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import (
    Delta,
    FinishReason,
    Message,
    Role,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
)
from tests.providers.asking import SCHEMA, VENDORS, Line, ask, line_to
from tests.wire import bad_request, calls, drip, ok, stalled_midway

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
WEATHER = Tool(
    "weather",
    "The weather in a town.",
    {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
)
ANSWER = '{"intent": "bug", "urgent": true}'
FAMOUS = {"openai": "gpt-4.1-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def called_in(deltas: Sequence[Delta]) -> list[tuple[str, str]]:
    """Name and arguments of each call, put together from its pieces."""
    pieces: dict[int, list[ToolCallDelta]] = {}
    for delta in deltas:
        if isinstance(delta, ToolCallDelta):
            pieces.setdefault(delta.index, []).append(delta)
    return [
        ("".join(each.name for each in parts), "".join(each.arguments for each in parts))
        for _, parts in sorted(pieces.items())
    ]


@pytest.mark.parametrize("total", [20.0, 5.0], ids=["in pieces", "in one piece"])
async def test_tool_calls_come_back_with_their_arguments(line: Line, total: float):
    line.server.reply(
        calls(("weather", '{"town": "Oslo"}'), ("weather", '{"town": "Rome"}'), text="Let me see.")
    )
    reply = await line.complete(replace(ask(total=total), tools=[WEATHER]))
    assert reply.text == "Let me see."
    assert reply.finish is FinishReason.TOOL_CALLS
    assert [(call.name, json.loads(call.arguments)) for call in reply.calls] == [
        ("weather", {"town": "Oslo"}),
        ("weather", {"town": "Rome"}),
    ]
    assert len({call.id for call in reply.calls}) == 2
    assert "The weather in a town." in json.dumps(line.server.requests[0].body)


async def test_calls_and_results_of_earlier_turns_reach_the_model(line: Line):
    line.server.reply(ok("It rains."))
    history = [
        Message(Role.USER, "How is the weather in Oslo?"),
        Message(Role.ASSISTANT, (Text("Let me see."), ToolCall("call_7", "weather", '{"town": "Oslo"}'))),
        Message(Role.TOOL, (ToolResult("call_7", "weather", "rain, 4 degrees"),)),
    ]
    reply = await line.complete(replace(ask(messages=history), tools=[WEATHER]))
    assert reply.text == "It rains."
    sent = json.dumps(line.server.requests[0].body)
    assert "rain, 4 degrees" in sent
    assert "Let me see." in sent
    assert sent.count("Oslo") >= 2


@pytest.mark.parametrize("choice", [ToolChoice.REQUIRED, ToolChoice.NONE])
async def test_a_model_may_be_held_to_its_tools_or_kept_from_them(line: Line, choice: ToolChoice):
    line.server.reply(ok("Yes."), ok("Yes."))
    await line.complete(replace(ask(), tools=[WEATHER]))
    await line.complete(replace(ask(), tools=[WEATHER], tool_choice=choice))
    free, held = (request.body for request in line.server.requests)
    assert free != held


async def test_an_observer_hears_every_piece_of_text_in_order(line: Line):
    line.server.reply(ok("One, two, three and four."))
    heard: list[Delta] = []
    reply = await line.complete(replace(ask(), on_delta=heard.append))
    assert text_of(heard) == reply.text == "One, two, three and four."
    assert len(heard) > 3


async def test_an_observer_hears_tool_calls_by_their_index(line: Line):
    line.server.reply(
        calls(("weather", '{"town": "Oslo"}'), ("weather", '{"town": "Rome"}'), text="Let me see.")
    )
    heard: list[Delta] = []
    await line.complete(replace(ask(), tools=[WEATHER], on_delta=heard.append))
    assert text_of(heard) == "Let me see."
    assert [(name, json.loads(arguments)) for name, arguments in called_in(heard)] == [
        ("weather", {"town": "Oslo"}),
        ("weather", {"town": "Rome"}),
    ]


async def test_pieces_are_heard_while_the_model_is_still_speaking(line: Line):
    line.server.reply(stalled_midway("one two three four", after=2))
    heard: list[Delta] = []
    failure = await line.fail(replace(ask(stall=0.3), on_delta=heard.append))
    assert failure.kind is FailureKind.STALL
    assert text_of(heard).split() == ["one", "two"]


async def test_cancelling_ends_the_request_at_the_service_too(line: Line):
    line.server.always(drip("word " * 400, pause=0.02))
    heard = asyncio.Event()
    request = asyncio.create_task(line.complete(replace(ask(), on_delta=lambda _: heard.set())))
    await heard.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.wait_for(line.server.abandoned.wait(), 3)


async def test_requests_come_in_one_piece_when_only_the_deadline_of_the_whole_can_end_them(line: Line):
    line.server.reply(ok("Yes."), ok("Yes."))
    await line.complete(ask(total=5.0, first_token=20.0, stall=30.0))
    await line.complete(ask(total=20.0, first_token=5.0))
    whole, streamed = line.server.requests
    assert not whole.body.get("stream")
    assert ":streamGenerateContent" not in whole.path
    assert streamed.body.get("stream") or ":streamGenerateContent" in streamed.path


async def test_a_reply_names_itself_for_the_vendors_support(line: Line):
    line.server.always(ok("Yes."))
    names = {"openai": "chatcmpl-1", "anthropic": "msg_1", "google": "r1"}
    for total in (5.0, 20.0):
        assert (await line.complete(ask(total=total))).request_id == names[line.server.vendor]


async def test_images_go_out_as_bytes_or_as_an_address(line: Line):
    line.server.reply(ok("A cat."), ok("A cat."))
    for image in (Image(PNG, "image/png"), Image(url="https://example.com/cat.png")):
        if image.url and line.server.vendor == "google":
            continue
        message = Message(Role.USER, (Text("What is this? "), image, Text(" Be brief.")))
        await line.complete(ask(messages=[message]))
    sent = json.dumps([request.body for request in line.server.requests])
    assert "iVBORw0KGgoA" in sent
    assert "What is this? " in sent
    assert line.server.vendor == "google" or "https://example.com/cat.png" in sent


@pytest.mark.parametrize(
    ("vendor", "media"),
    [
        ("openai", Audio(b"RIFF....WAVE", "audio/wav")),
        ("google", Audio(b"RIFF....WAVE", "audio/wav")),
        ("openai", Document(b"%PDF-1.7 ...", "application/pdf")),
        ("anthropic", Document(b"%PDF-1.7 ...", "application/pdf")),
        ("google", Document(b"%PDF-1.7 ...", "application/pdf")),
    ],
)
async def test_recordings_and_documents_go_out_to_models_that_read_them(vendor, media):
    models = FAMOUS | {"openai": "gpt-4o-audio-preview" if isinstance(media, Audio) else "gpt-4.1-mini"}
    async with line_to(vendor, models[vendor]) as line:
        line.server.reply(ok("Yes."))
        reply = await line.complete(ask(messages=[Message(Role.USER, (Text("What is said?"), media))]))
        assert reply.text == "Yes."
        assert {"audio/wav": "UklGRi4u", "application/pdf": "JVBERi0x"}[media.media_type] in json.dumps(
            line.server.requests[0].body
        )


async def test_what_a_model_is_known_not_to_read_is_not_sent_to_it():
    async with line_to("anthropic", "claude-haiku-4-5") as line:
        message = Message(Role.USER, (Text("What is said?"), Audio(b"RIFF", "audio/wav")))
        failure = await line.fail(ask(messages=[message]))
        assert failure.kind is FailureKind.UNAVAILABLE
        assert "claude-haiku-4-5" in str(failure)
        assert "does not read audio" in str(failure)
        assert line.server.requests == []


@pytest.mark.parametrize("total", [20.0, 5.0], ids=["in pieces", "in one piece"])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_schema_as_a_tool_gives_its_arguments_as_the_text(vendor, total: float):
    async with line_to(vendor, FAMOUS[vendor]) as line:
        line.server.reply(calls(("answer", ANSWER)))
        heard: list[Delta] = []
        watch: Any = heard.append if total == 20.0 else None
        request = replace(ask(schema=SCHEMA, total=total), schema_mode=SchemaMode.TOOL, on_delta=watch)
        reply = await line.complete(request)
        assert json.loads(reply.text) == json.loads(ANSWER)
        assert (reply.calls, reply.finish, reply.schema_mode) == ((), FinishReason.STOP, SchemaMode.TOOL)
        if watch:
            assert json.loads(text_of(heard)) == json.loads(ANSWER)
        body = line.server.requests[0].body
        assert body["tools"]
        assert "response_format" not in body


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_schema_in_words_asks_for_nothing_else(vendor):
    async with line_to(vendor, FAMOUS[vendor]) as line:
        line.server.reply(ok(ANSWER))
        reply = await line.complete(replace(ask(schema=SCHEMA), schema_mode=SchemaMode.PROMPTED))
        assert reply.schema_mode is SchemaMode.PROMPTED
        body = line.server.requests[0].body
        assert not {"tools", "response_format", "output_config"} & set(body)
        assert "responseJsonSchema" not in body.get("generationConfig", {})
        assert "Answer with one JSON value" in json.dumps(body)


async def test_a_schema_that_the_messages_tell_of_is_not_told_twice(openai: Line):
    openai.server.reply(ok(ANSWER))
    request = replace(ask("Answer as JSON", schema=SCHEMA), schema_told=True, schema_mode=SchemaMode.PROMPTED)
    reply = await openai.complete(request)
    assert reply.schema_mode is SchemaMode.PROMPTED
    assert "Answer with one JSON value" not in json.dumps(openai.server.requests[0].body)


async def test_a_model_that_nobody_knows_is_given_the_schema_when_its_user_says_so(line: Line):
    line.server.reply(ok(ANSWER))
    reply = await line.complete(replace(ask(schema=SCHEMA), schema_mode=SchemaMode.NATIVE))
    assert reply.schema_mode is SchemaMode.NATIVE
    body = line.server.requests[0].body
    formats = (body.get("response_format"), body.get("output_config"), body.get("generationConfig", {}))
    assert '"urgent"' in json.dumps(formats)


async def test_a_refused_schema_is_offered_as_a_tool_and_then_told_in_words():
    async with line_to("openai", "gpt-4.1-mini") as line:
        line.server.reply(
            bad_request("'response_format' of type 'json_schema' is not supported"),
            bad_request("tool_choice is not supported"),
            ok(ANSWER),
            ok(ANSWER),
        )
        for _ in range(2):
            reply = await line.complete(ask(schema=SCHEMA))
            assert reply.schema_mode is SchemaMode.PROMPTED
        asked = [
            ("response_format" in request.body, "tools" in request.body) for request in line.server.requests
        ]
        assert asked == [(True, False), (False, True), (False, False), (False, False)]


async def test_stops_seeds_and_top_p_are_passed_on(line: Line):
    line.server.reply(ok("Yes."))
    await line.complete(replace(ask(), stop=["END"], seed=7, top_p=0.5))
    sent = json.dumps(line.server.requests[0].body)
    assert '"END"' in sent
    assert "0.5" in sent
    # Anthropic has no seeds.
    assert line.server.vendor == "anthropic" or "7" in sent
