"""Tools, pictures and schemas of the official client, asked of models of every wire format, whole and streamed."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.server.support import serving
from tests.wire import WireServer, calls, ok

VENDORS = ["passed through", "openai", "anthropic", "google"]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
EACH = pytest.mark.parametrize("vendor", VENDORS)
TRANSLATED = pytest.mark.parametrize("vendor", VENDORS[1:])
ASK: Any = [{"role": "user", "content": "What is the weather in Bern and in Basel?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA},
}
OTHER: Any = {"type": "function", "function": {"name": "stocks", "parameters": {"type": "object"}}}
FUNCTION: Any = {"type": "function", "name": "weather", "description": "The weather.", "parameters": SCHEMA}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
BERN, BASEL = '{"city": "Bern"}', '{"city": "Basel"}'


@asynccontextmanager
async def asked(folder: Path, vendor: str) -> AsyncIterator[tuple[WireServer, AsyncOpenAI]]:
    """A client of a server whose model `m` is at a wire server of a vendor's format."""
    kind: Any = "openai" if vendor == "passed through" else vendor
    async with WireServer(kind) as wire:
        # Of two candidates the first answers; only one alone can be passed through.
        names = wire.name() if vendor != "openai" else f"{wire.name()},{wire.name('other')}"
        async with serving(folder, aliases={"m": names}) as server, server.openai() as client:
            yield wire, client


def upstream(wire: WireServer, number: int = 0) -> str:
    return json.dumps(wire.requests[number].body)


@EACH
@STREAM
async def test_tools_are_called_and_their_results_answered_in_a_chat(tmp_path, vendor, stream):
    async with asked(tmp_path, vendor) as (wire, client):
        wire.reply(calls(("weather", BERN), ("weather", BASEL), text="Let me see."), ok("Sunny in both."))
        message = await chat(client, stream=stream, messages=ASK, tools=[TOOL])
        assert [json.loads(call["function"]["arguments"])["city"] for call in message["tool_calls"]] == [
            "Bern",
            "Basel",
        ]
        assert {call["function"]["name"] for call in message["tool_calls"]} == {"weather"}
        assert message["content"] == "Let me see."
        assert message["finish_reason"] == "tool_calls" or vendor == "passed through"
        one, two = (call["id"] for call in message["tool_calls"])
        assert one != two
        said = [
            *ASK,
            {"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]},
            {"role": "tool", "tool_call_id": one, "content": "sunny 21"},
            {"role": "tool", "tool_call_id": two, "content": "sunny 23"},
        ]
        answer = await chat(client, stream=stream, messages=said, tools=[TOOL])
        assert answer["content"] == "Sunny in both."
        assert answer["finish_reason"] == "stop"
    assert "weather" in upstream(wire)
    told = upstream(wire, 1)
    assert told.index("Bern", told.index("Let me see")) < told.index("sunny 21") < told.index("sunny 23")


async def chat(client: AsyncOpenAI, *, stream: bool, **options: Any) -> dict[str, Any]:
    """A chat completion's message, put together by the client's own helper when it is streamed."""
    if not stream:
        said = await client.chat.completions.create(model="m", **options)
    else:
        async with client.chat.completions.stream(model="m", **options) as events:
            said = await events.get_final_completion()
    choice = said.choices[0]
    message = choice.message.model_dump(exclude_none=True, exclude={"parsed"})
    found = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["function"]["name"], "arguments": call["function"]["arguments"]},
        }
        for call in message.get("tool_calls", [])
    ]
    return {**message, "tool_calls": found, "finish_reason": choice.finish_reason}


@TRANSLATED
@STREAM
@pytest.mark.parametrize("text", ["Let me see.", ""], ids=["after words", "alone"])
async def test_tools_are_called_and_their_results_answered_in_responses(tmp_path, vendor, stream, text):
    async with asked(tmp_path, vendor) as (wire, client):
        wire.reply(calls(("weather", BERN), ("weather", BASEL), text=text), ok("Sunny in both."))
        response = await respond(client, stream=stream, input=ASK, tools=[FUNCTION])
        found = [item for item in response.output if item.type == "function_call"]
        assert [json.loads(item.arguments)["city"] for item in found] == ["Bern", "Basel"]
        assert response.output_text == text
        assert len(response.output) == 2 + bool(text)
        items = [item.model_dump(exclude_none=True) for item in response.output]
        results = [
            {"type": "function_call_output", "call_id": item.call_id, "output": f"sunny {degrees}"}
            for item, degrees in zip(found, (21, 23), strict=True)
        ]
        answer = await respond(client, stream=stream, input=[*ASK, *items, *results], tools=[FUNCTION])
        assert answer.output_text == "Sunny in both."
    told = upstream(wire, 1)
    assert told.index("Bern", 100) < told.index("sunny 21") < told.index("sunny 23")
    match vendor:
        case "openai":
            roles = [message["role"] for message in wire.requests[1].body["messages"]]
            assert roles == ["user", "assistant", "tool", "tool"]
        case "anthropic":
            roles = [message["role"] for message in wire.requests[1].body["messages"]]
            assert roles == ["user", "assistant", "user"]
        case _:
            roles = [content["role"] for content in wire.requests[1].body["contents"]]
            assert roles == ["user", "model", "user"]


async def respond(client: AsyncOpenAI, *, stream: bool, **options: Any) -> Any:
    if not stream:
        return await client.responses.create(model="m", **options)
    async with client.responses.stream(model="m", **options) as events:
        seen = [event async for event in events]
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        return await events.get_final_response()


@TRANSLATED
async def test_one_tool_that_must_be_called_is_the_only_one_offered(tmp_path, vendor):
    async with asked(tmp_path, vendor) as (wire, client):
        wire.always(calls(("weather", BERN)))
        named: Any = {"type": "function", "function": {"name": "weather"}}
        await chat(client, stream=False, messages=ASK, tools=[OTHER, TOOL], tool_choice=named)
        named = {"type": "function", "name": "weather"}
        other: Any = {"type": "function", "name": "stocks", "parameters": {"type": "object"}}
        await respond(client, stream=False, input=ASK, tools=[other, FUNCTION], tool_choice=named)
        with pytest.raises(openai.BadRequestError, match="nothing"):
            await chat(
                client,
                stream=False,
                messages=ASK,
                tools=[TOOL],
                tool_choice={"type": "function", "function": {"name": "nothing"}},
            )
    assert len(wire.requests) == 2
    for number in range(2):
        assert "stocks" not in upstream(wire, number)
        assert "weather" in upstream(wire, number)
        choice = wire.requests[number].body
        spelled = json.dumps(choice.get("tool_choice") or choice.get("toolConfig"))
        assert any(word in spelled for word in ("required", "any", "ANY", "weather"))


@EACH
async def test_pictures_go_along(tmp_path, vendor):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    async with asked(tmp_path, vendor) as (wire, client):
        wire.always(ok("A dot."))
        messages: Any = [{"role": "user", "content": content}]
        assert (await chat(client, stream=False, messages=messages))["content"] == "A dot."
        if vendor != "passed through":
            parts = [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
            ]
            response = await respond(client, stream=False, input=[{"role": "user", "content": parts}])
            assert response.output_text == "A dot."
    for number in range(len(wire.requests)):
        # Google takes the alphabet of URLs.
        sent = upstream(wire, number)
        assert any(
            PICTURE.partition(",")[2] in each for each in (sent, sent.replace("-", "+").replace("_", "/"))
        )
        assert "What is this?" in upstream(wire, number)


class Person(BaseModel):
    """What is asked for."""

    name: str
    age: int


@EACH
@STREAM
async def test_a_schema_is_asked_for_and_read_by_the_clients_own_helpers(tmp_path, vendor, stream):
    async with asked(tmp_path, vendor) as (wire, client):
        wire.always(ok('{"name": "Ada", "age": 36}'))
        parsed: Any
        if stream:
            async with client.chat.completions.stream(
                model="m", messages=ASK, response_format=Person
            ) as events:
                parsed = (await events.get_final_completion()).choices[0].message.parsed
        else:
            said = await client.chat.completions.parse(model="m", messages=ASK, response_format=Person)
            parsed = said.choices[0].message.parsed
        assert parsed == Person(name="Ada", age=36)
        if vendor != "passed through":
            response = await client.responses.parse(model="m", input=ASK, text_format=Person)
            assert response.output_parsed == Person(name="Ada", age=36)
    for number in range(len(wire.requests)):
        assert '"age"' in upstream(wire, number).replace('\\"', '"')


@TRANSLATED
async def test_embeddings_of_models_that_have_none_are_refused_once_and_for_all(tmp_path, vendor):
    async with asked(tmp_path, vendor) as (wire, client):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.with_options(max_retries=2).embeddings.create(model="m", input="text")
    assert caught.value.status_code == 501
    assert wire.requests == []


async def test_embeddings_in_the_clients_own_encoding_are_passed_through(tmp_path):
    from array import array

    from tests.wire import Raw

    coded = base64.b64encode(array("f", [0.5, 0.25]).tobytes()).decode()
    data = [{"object": "embedding", "index": 0, "embedding": coded}]
    body = {"object": "list", "model": "e", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    async with asked(tmp_path, "passed through") as (wire, client):
        wire.reply(Raw(json.dumps(body).encode()))
        got = await client.embeddings.create(model="m", input=["text"], dimensions=2)
    assert got.data[0].embedding == [0.5, 0.25]
    assert wire.requests[0].path == "/v1/embeddings"
    assert wire.requests[0].body["encoding_format"] == "base64"
