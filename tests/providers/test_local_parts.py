"""The model on this machine, asked for more than a text: tools, pieces as they come, a schema in words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from podium.domain.answers import FailureKind
from podium.domain.media import Image
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import (
    Delta,
    FinishReason,
    Message,
    ModelFailure,
    ModelProvider,
    Role,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from podium.providers.local import LocalProvider
from tests.providers.asking import SCHEMA, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER = Tool(
    "weather",
    "The weather in a town.",
    {
        "type": "object",
        "properties": {"town": {"type": "string", "enum": ["Oslo", "Rome"]}},
        "required": ["town"],
    },
)
TIME = Tool("time", "The time of day.", {"type": "object", "properties": {}})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local() -> AsyncIterator[ModelProvider]:
    provider = LocalProvider()
    yield provider
    await provider.close()


async def test_its_words_are_heard_as_they_come_and_spell_the_reply(local: ModelProvider):
    heard: list[Delta] = []
    reply = await local.complete(
        "smollm2", replace(ask("Count to five.", max_tokens=20), on_delta=heard.append)
    )
    assert len(heard) > 5
    assert "".join(delta.text for delta in heard if isinstance(delta, TextDelta)) == reply.text


async def test_a_model_held_to_its_tools_calls_one_with_arguments_that_fit(local: ModelProvider):
    request = replace(
        ask("How is the weather in Rome?"), tools=[WEATHER, TIME], tool_choice=ToolChoice.REQUIRED
    )
    reply = await local.complete("smollm2", request)
    [call] = reply.calls
    assert reply.finish is FinishReason.TOOL_CALLS
    assert call.name in {"weather", "time"}
    assert set(json.loads(call.arguments)) == ({"town"} if call.name == "weather" else set())


async def test_a_model_free_to_call_tools_either_calls_one_or_says_something(local: ModelProvider):
    history = [
        Message(Role.USER, "How is the weather in Rome?"),
        Message(Role.ASSISTANT, (Text("Let me see."), ToolCall("1", "weather", '{"town": "Rome"}'))),
        Message(Role.TOOL, (ToolResult("1", "weather", "sunny, 20 degrees"),)),
    ]
    reply = await local.complete("smollm2", replace(ask(messages=history), tools=[WEATHER]))
    assert bool(reply.calls) != bool(reply.text)


async def test_a_schema_is_enforced_unless_words_are_asked_for(local: ModelProvider):
    held = await local.complete("smollm2", ask(schema=SCHEMA))
    told = await local.complete("smollm2", replace(ask(schema=SCHEMA), schema_mode=SchemaMode.PROMPTED))
    assert (held.schema_mode, told.schema_mode) == (SchemaMode.CONSTRAINED, SchemaMode.PROMPTED)
    assert told.usage.input_tokens > held.usage.input_tokens


async def test_images_are_refused_before_anything_is_asked(local: ModelProvider):
    message = Message(Role.USER, (Text("What is this?"), Image(b"\x89PNG", "image/png")))
    with pytest.raises(ModelFailure, match="reads text alone") as caught:
        await local.complete("smollm2", ask(messages=[message]))
    assert caught.value.kind is FailureKind.UNAVAILABLE
