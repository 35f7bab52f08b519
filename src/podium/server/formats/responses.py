"""Responses: requests read, replies written, whole and as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, assert_never

import orjson

from podium.gateway.chat import Replied
from podium.ports.models import (
    CallLimits,
    Delta,
    FinishReason,
    Message,
    ModelReply,
    ModelRequest,
    Part,
    Role,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from podium.server.errors import ApiError, bad_request
from podium.server.formats.chat import whole_as_deltas
from podium.server.formats.reading import Image, Lenient, media_at, offered, read, refuse

_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}


class _Part(Lenient):
    type: str
    text: str | None = None
    image_url: str | None = None


class _Item(Lenient):
    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[_Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[_Part] | None = None


class _Tool(Lenient):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Format(Lenient):
    type: str = "text"
    name: str = "answer"


class _Text(Lenient):
    format: _Format | None = None


class _Body(Lenient):
    input: str | list[_Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[_Tool] | None = None
    text: _Text | None = None


def request_of(asked: Mapping[str, Any], limits: CallLimits, max_tokens: int) -> ModelRequest:
    """Return what a response asks for; raises `ApiError` for what it cannot ask for here."""
    refuse(asked, "previous_response_id", "conversation", "background", "prompt")
    body = read(_Body, asked)
    messages = [Message(Role.SYSTEM, body.instructions)] if body.instructions else []
    named: dict[str, str] = {}
    if isinstance(body.input, str):
        messages.append(Message(Role.USER, body.input))
    else:
        messages += [_message(item, f"input.{number}", named) for number, item in enumerate(body.input)]
    tools, choice = offered([_tool(tool) for tool in body.tools or ()], asked.get("tool_choice"))
    return ModelRequest(
        messages=tuple(_turns(messages)),
        limits=limits,
        schema=_schema(body, asked),
        schema_name=body.text.format.name if body.text and body.text.format else "answer",
        max_tokens=body.max_output_tokens or max_tokens,
        temperature=body.temperature,
        tools=tools,
        tool_choice=choice,
        top_p=body.top_p,
    )


def _schema(body: _Body, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    match body.text.format.type if body.text and body.text.format else "text":
        case "json_schema":
            schema = asked["text"]["format"].get("schema")
            if not isinstance(schema, dict):
                raise bad_request("text.format needs a schema", "text.format")
            return schema
        case "json_object":
            return {"type": "object"}
        case "text":
            return None
        case other:
            raise bad_request(f"text.format: {other!r} is no format", "text.format")


def _tool(tool: _Tool) -> Tool:
    if tool.type != "function" or not tool.name:
        raise bad_request(
            f"tools: only functions can be called by this model, not {tool.type!r}",
            "tools",
            "unsupported_parameter",
        )
    return Tool(tool.name, tool.description or "", tool.parameters or {"type": "object"})


def _message(item: _Item, where: str, named: dict[str, str]) -> Message:
    match item:
        case _Item(type="message", role=str(role), content=content) if content is not None:
            return Message(_ROLES[role], content if isinstance(content, str) else _parts(content, where))
        case _Item(type="function_call", call_id=str(id), name=str(name), arguments=str(arguments)):
            named[id] = name
            return Message(Role.ASSISTANT, (ToolCall(id, name, arguments),))
        case _Item(type="function_call_output", call_id=str(id), output=output) if output is not None:
            told = output if isinstance(output, str) else _parts(output, where)
            if not isinstance(told, str):
                raise bad_request(f"{where}: only text can stand here", where, "unsupported_parameter")
            return Message(Role.TOOL, (ToolResult(id, named.get(id, ""), told),))
        case _:
            raise bad_request(
                f"{where}: an item of type {item.type!r} cannot be used here", where, "unsupported_parameter"
            )


def _turns(messages: Sequence[Message]) -> Iterator[Message]:
    """Put together what a model said and called at once: here these are items of their own, elsewhere one message."""
    for role, found in groupby(messages, key=lambda message: message.role):
        turn = list(found)
        called = any(isinstance(part, ToolCall) for message in turn for part in message.parts)
        if role is Role.ASSISTANT and called and len(turn) > 1:
            yield Message(role, tuple(part for message in turn for part in message.parts))
        else:
            yield from turn


def _parts(parts: Sequence[_Part], where: str) -> str | tuple[Part, ...]:
    if all(part.text is not None for part in parts):
        return "".join(part.text or "" for part in parts)
    return tuple(_part(part, f"{where}.content.{number}") for number, part in enumerate(parts))


def _part(part: _Part, where: str) -> Part:
    match part:
        case _Part(type="input_text" | "output_text", text=str(text)):
            return Text(text)
        case _Part(type="input_image", image_url=str(url)):
            return media_at(Image, where, url)
        case _:
            raise bad_request(f"{where}: a part of type {part.type!r} cannot be used here", where)


def response(id: str, created: int, model: str, replied: Replied) -> dict[str, Any]:
    """Return a whole response."""
    reply = replied.reply
    cut = reply.finish in {FinishReason.LENGTH, FinishReason.CONTENT_FILTER}
    reason = "max_output_tokens" if reply.finish is FinishReason.LENGTH else "content_filter"
    usage = replied.usage
    return {
        **_head(id, created, model),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": reason} if cut else None,
        "output": _output(id, reply),
        "usage": {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


def _head(id: str, created: int, model: str) -> dict[str, Any]:
    return {
        "id": f"resp_{id}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }


def _output(id: str, reply: ModelReply) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if reply.text or not reply.calls:
        items.append(_said(id, _content(reply)))
    items += [_called(id, index, call) for index, call in enumerate(reply.calls)]
    return items


def _content(reply: ModelReply) -> dict[str, Any]:
    if reply.finish is FinishReason.REFUSAL:
        return {"type": "refusal", "refusal": reply.text}
    return {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}


def _said(id: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{id}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }


def _called(id: str, index: int, call: ToolCall) -> dict[str, Any]:
    return {
        "id": f"fc_{id}_{index}",
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": "completed",
    }


class Events:
    """Writes a response as the events of a stream. See `Writer`."""

    def __init__(self, id: str, created: int, model: str) -> None:
        self._id, self._created, self._model = id, created, model
        self._number = 0
        self._text_at: int | None = None
        self._calls_at: dict[int, int] = {}
        self._spoke = False

    def opening(self) -> bytes:
        """See `Writer.opening`."""
        begun = _head(self._id, self._created, self._model)
        return self._event("response.created", response=begun) + self._event(
            "response.in_progress", response=begun
        )

    def pieces(self, deltas: Sequence[Delta]) -> bytes:
        """See `Writer.pieces`."""
        self._spoke = True
        return b"".join([self._piece(delta) for delta in deltas])

    def closing(self, replied: Replied) -> bytes:
        """See `Writer.closing`."""
        reply = replied.reply
        said = b"" if self._spoke else self.pieces(whole_as_deltas(reply))
        whole = response(self._id, self._created, self._model, replied)
        # In the order in which the pieces came.
        places = {self._text_at: _said(self._id, _content(reply))} if self._text_at is not None else {}
        for index, at in self._calls_at.items():
            places[at] = _called(self._id, index, reply.calls[index])
        whole["output"] = [places[at] for at in sorted(places)] or whole["output"]
        ends = b"".join(self._end(at, places[at]) for at in sorted(places))
        return said + ends + self._event(f"response.{whole['status']}", response=whole)

    def failure(self, error: ApiError) -> bytes:
        """See `Writer.failure`."""
        return self._event("error", code=error.code, message=str(error), param=error.param)

    def _piece(self, delta: Delta) -> bytes:
        match delta:
            case TextDelta(text=text):
                begun = b"" if self._text_at is not None else self._begin_text()
                return begun + self._event(
                    "response.output_text.delta",
                    item_id=f"msg_{self._id}",
                    output_index=self._text_at,
                    content_index=0,
                    delta=text,
                    logprobs=[],
                )
            case ToolCallDelta(index=index, arguments=arguments):
                begun = b"" if index in self._calls_at else self._begin_call(delta)
                if not arguments:
                    return begun
                return begun + self._event(
                    "response.function_call_arguments.delta",
                    item_id=f"fc_{self._id}_{index}",
                    output_index=self._calls_at[index],
                    delta=arguments,
                )
            case _:
                assert_never(delta)

    def _begin_text(self) -> bytes:
        self._text_at = self._next_place()
        item = {**_said(self._id, {}), "status": "in_progress", "content": []}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return self._event("response.output_item.added", output_index=self._text_at, item=item) + self._event(
            "response.content_part.added",
            item_id=item["id"],
            output_index=self._text_at,
            content_index=0,
            part=part,
        )

    def _begin_call(self, delta: ToolCallDelta) -> bytes:
        at = self._calls_at[delta.index] = self._next_place()
        item = _called(self._id, delta.index, ToolCall(delta.id, delta.name, ""))
        item["status"] = "in_progress"
        return self._event("response.output_item.added", output_index=at, item=item)

    def _end(self, at: int, item: Mapping[str, Any]) -> bytes:
        where = {"item_id": item["id"], "output_index": at}
        ends = b""
        if item["type"] == "function_call":
            ends = self._event(
                "response.function_call_arguments.done",
                **where,
                name=item["name"],
                arguments=item["arguments"],
            )
        elif item["content"][0]["type"] == "output_text":
            part = item["content"][0]
            where["content_index"] = 0
            ends = self._event("response.output_text.done", **where, text=part["text"], logprobs=[])
            ends += self._event("response.content_part.done", **where, part=part)
        return ends + self._event("response.output_item.done", output_index=at, item=item)

    def _next_place(self) -> int:
        return len(self._calls_at) + (self._text_at is not None)

    def _event(self, type: str, **members: Any) -> bytes:
        data = {"type": type, "sequence_number": self._number, **members}
        self._number += 1
        return b"event: " + type.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
