"""Requests in Pydantic AI's words: messages, tools, and the form of the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import assert_never

from pydantic_ai import messages as ai
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from podium.domain.media import Audio, Document, Image, Media
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import Message, ModelRequest, Part, Role, Text, Tool, ToolCall, ToolResult
from podium.providers.instructions import explained


def output_name(request: ModelRequest) -> str:
    """Return the name of the schema, or of the tool that carries it, as vendors take it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", request.schema_name)[:64]


def settings_of(request: ModelRequest, *, samples: bool = True) -> ModelSettings:
    """Return the settings that every vendor takes; `samples` is False for models that take no temperature."""
    settings = ModelSettings(max_tokens=request.max_tokens)
    if samples and request.temperature is not None:
        settings["temperature"] = request.temperature
    if samples and request.top_p is not None:
        settings["top_p"] = request.top_p
    if request.seed is not None:
        settings["seed"] = request.seed
    if request.stop:
        settings["stop_sequences"] = list(request.stop)
    if request.tools:
        settings["tool_choice"] = request.tool_choice.value
    return settings


def parameters_of(request: ModelRequest, mode: SchemaMode | None) -> ModelRequestParameters:
    """Return the tools and the form of the answer, when the answer is brought to its schema in `mode`."""
    tools = [_definition(tool) for tool in request.tools]
    if request.schema is None or mode in (None, SchemaMode.PROMPTED, SchemaMode.CONSTRAINED):
        return ModelRequestParameters(function_tools=tools)
    schema, name = dict(request.schema), output_name(request)
    if mode is SchemaMode.TOOL:
        answer = ToolDefinition(
            name=name, parameters_json_schema=schema, description="Give the answer.", kind="output"
        )
        return ModelRequestParameters(
            function_tools=tools, output_mode="tool", output_tools=[answer], allow_text_output=False
        )
    wanted = OutputObjectDefinition(json_schema=schema, name=name)
    return ModelRequestParameters(function_tools=tools, output_mode="native", output_object=wanted)


def messages_of(
    request: ModelRequest, mode: SchemaMode | None, *, marked: bool = False
) -> list[ai.ModelMessage]:
    """Return the messages; with `mode` prompted they tell of the schema, unless they do so already.

    `marked`: where the stable beginning of the first user's message ends, there is a mark for the service's cache.
    """
    return _grouped(explained(request) if mode is SchemaMode.PROMPTED else request.messages, marked=marked)


def _definition(tool: Tool) -> ToolDefinition:
    return ToolDefinition(
        name=tool.name, parameters_json_schema=dict(tool.schema), description=tool.description or None
    )


def _grouped(said: Sequence[Message], *, marked: bool) -> list[ai.ModelMessage]:
    """Return Pydantic AI's messages: everything between two turns of the assistant is one request there."""
    grouped: list[ai.ModelMessage] = []
    parts: list[ai.ModelRequestPart] = []
    for message in said:
        match message.role:
            case Role.SYSTEM:
                parts.append(ai.SystemPromptPart(message.text))
            case Role.USER:
                parts.append(ai.UserPromptPart(_marked(message) if marked else _content(message)))
                marked = False
            case Role.TOOL:
                parts += [_returned(part) for part in message.parts if isinstance(part, ToolResult)]
            case Role.ASSISTANT:
                if parts:
                    grouped.append(ai.ModelRequest(parts))
                grouped.append(ai.ModelResponse(_spoken(message)))
                parts = []
            case _:
                assert_never(message.role)
    if parts:
        grouped.append(ai.ModelRequest(parts))
    return grouped


def _marked(message: Message) -> list[ai.UserContent]:
    content = _content(message)
    first, *others = [content] if isinstance(content, str) else content
    if not isinstance(first, str) or not message.stable:
        return [first, *others]
    stable, rest = first[: message.stable], first[message.stable :]
    if not stable.strip() or (rest and not rest.strip()):
        # No service takes a text of nothing but spaces.
        return [first, *others]
    return [stable, ai.CachePoint(), *([rest] if rest else ()), *others]


def _content(message: Message) -> str | list[ai.UserContent]:
    if isinstance(message.content, str):
        return message.content
    return [_shown(part) for part in message.content if isinstance(part, Text | Media)]


def _shown(part: Text | Media) -> ai.UserContent:
    match part:
        case Text():
            return part.text
        case Media(data=bytes() as data, media_type=str() as media_type):
            return ai.BinaryContent(data, media_type=media_type)
        case Image():
            return ai.ImageUrl(part.url or "", media_type=part.media_type)
        case Audio():
            return ai.AudioUrl(part.url or "", media_type=part.media_type)
        case Document():
            return ai.DocumentUrl(part.url or "", media_type=part.media_type)
        case _:
            raise TypeError(f"{type(part).__name__} is neither an image, a recording nor a document")


def _spoken(message: Message) -> list[ai.ModelResponsePart]:
    spoken = [_uttered(part) for part in message.parts]
    return [part for part in spoken if part is not None]


def _uttered(part: Part) -> ai.ModelResponsePart | None:
    match part:
        case Text():
            return ai.TextPart(part.text) if part.text else None
        case ToolCall():
            return ai.ToolCallPart(part.name, part.arguments or "{}", part.id)
        case _:
            return None


def _returned(result: ToolResult) -> ai.ToolReturnPart:
    return ai.ToolReturnPart(
        result.name, result.text, result.id, outcome="failed" if result.failed else "success"
    )
