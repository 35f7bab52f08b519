"""Tools for models that know of none: their calls become JSON of a schema, to which the model is held."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from podium.domain.media import Media
from podium.ports.models import (
    Delta,
    FinishReason,
    Message,
    ModelReply,
    ModelRequest,
    Part,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
)

_TOLD = "You can call these tools. Call one when it helps to answer, and use what it returns:"


def without_tools(request: ModelRequest) -> ModelRequest:
    """Return the request with its tools as a schema, and earlier calls and their results as text."""
    messages = [_as_text(message) for message in request.messages]
    if not request.tools or request.tool_choice is ToolChoice.NONE:
        return replace(request, messages=messages, tools=())
    tools = [{"tool": tool.name, "description": tool.description} for tool in request.tools]
    told = Message(Role.SYSTEM, "\n".join([_TOLD, *(json.dumps(tool, ensure_ascii=False) for tool in tools)]))
    branches = [
        _object({"tool": {"const": tool.name}, "arguments": _bare(tool.schema)}) for tool in request.tools
    ]
    if request.tool_choice is ToolChoice.AUTO:
        branches.append(_object({"reply": {"type": "string"}}))
    schema: dict[str, Any] = {"anyOf": branches} if len(branches) > 1 else branches[0]
    definitions = {
        name: each for tool in request.tools for name, each in tool.schema.get("$defs", {}).items()
    }
    if definitions:
        schema["$defs"] = definitions
    # What the model writes is neither the text nor a call before it is whole.
    return replace(
        request, messages=[told, *messages], tools=(), schema=schema, schema_told=True, on_delta=None
    )


def with_calls(reply: ModelReply, observer: Callable[[Delta], None] | None) -> ModelReply:
    """Return what the model wrote by the schema of `without_tools` as a call, or as the text of a reply.

    `observer` hears of it in one piece.
    """
    found = _read(reply)
    if observer is not None:
        for call in found.calls:
            observer(ToolCallDelta(0, call.id, call.name, call.arguments))
        if found.text:
            observer(TextDelta(found.text))
    return found


def _read(reply: ModelReply) -> ModelReply:
    try:
        written = json.loads(reply.text)
    except ValueError:
        # Cut off by the output limit: there is no call in it.
        return reply
    if "tool" not in written:
        return replace(reply, text=written["reply"], tokens=(), schema_mode=None)
    arguments = json.dumps(written["arguments"], ensure_ascii=False)
    call = ToolCall("call_0", written["tool"], arguments)
    finish = FinishReason.TOOL_CALLS if reply.finish is FinishReason.STOP else reply.finish
    return replace(reply, text="", calls=(call,), finish=finish, tokens=(), schema_mode=None)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _bare(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "$defs"}


def _as_text(message: Message) -> Message:
    role = Role.USER if message.role is Role.TOOL else message.role
    return Message(role, "".join(map(_written, message.parts)))


def _written(part: Part) -> str:
    match part:
        case Text():
            return part.text
        case ToolCall():
            return json.dumps({"tool": part.name, "arguments": part.arguments}, ensure_ascii=False)
        case ToolResult():
            return f"{part.name} {'failed' if part.failed else 'returned'}: {part.text}\n"
        case Media():
            return ""
