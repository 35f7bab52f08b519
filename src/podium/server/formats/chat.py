"""Chat completions: requests read, replies written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, assert_never

import orjson

from podium.domain.answers import Usage
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
from podium.server.formats.reading import Audio, Image, Lenient, media, media_at, offered, read, refuse

_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
_FINISHES = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "stop",
    FinishReason.OTHER: "stop",
}


class _Url(Lenient):
    url: str


class _Recording(Lenient):
    data: str
    format: str


class _Part(Lenient):
    type: str
    text: str | None = None
    image_url: _Url | None = None
    input_audio: _Recording | None = None


class _Function(Lenient):
    name: str
    arguments: str


class _Call(Lenient):
    id: str
    function: _Function


class _Said(Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _Offer(Lenient):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Lenient):
    type: Literal["function"]
    function: _Offer


class _Format(Lenient):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class _Options(Lenient):
    include_usage: bool = False


class _Body(Lenient):
    messages: list[_Said]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    tools: list[_Tool] | None = None
    response_format: _Format | None = None
    stream_options: _Options | None = None


def wants_usage(asked: Mapping[str, Any]) -> bool:
    """Return whether a stream is to end with its usage."""
    options = asked.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def request_of(asked: Mapping[str, Any], limits: CallLimits, max_tokens: int) -> ModelRequest:
    """Return what a chat completion asks for; raises `ApiError` for what it cannot ask for here."""
    refuse(asked, "logprobs", "audio", "web_search_options", "functions")
    body = read(_Body, asked)
    if asked.get("n") not in (None, 1):
        raise bad_request("n must be 1 for this model", "n", "unsupported_parameter")
    if not body.messages:
        raise bad_request("messages must hold one message or more", "messages")
    named: dict[str, str] = {}
    schema, name = _schema(body.response_format)
    functions = [tool.function for tool in body.tools or ()]
    tools, choice = offered(
        [
            Tool(each.name, each.description or "", each.parameters or {"type": "object"})
            for each in functions
        ],
        asked.get("tool_choice"),
    )
    return ModelRequest(
        messages=tuple(_message(said, number, named) for number, said in enumerate(body.messages)),
        limits=limits,
        schema=schema,
        schema_name=name,
        max_tokens=body.max_completion_tokens or body.max_tokens or max_tokens,
        temperature=body.temperature,
        tools=tools,
        tool_choice=choice,
        top_p=body.top_p,
        seed=body.seed,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
    )


def _schema(wanted: _Format | None) -> tuple[Mapping[str, Any] | None, str]:
    if wanted is None or wanted.type == "text":
        return None, "answer"
    if wanted.type == "json_object":
        return {"type": "object"}, "answer"
    told = wanted.json_schema or {}
    schema, name = told.get("schema"), told.get("name", "answer")
    if not isinstance(schema, dict) or not isinstance(name, str):
        raise bad_request("response_format.json_schema needs a name and a schema", "response_format")
    return schema, name


def _message(said: _Said, number: int, named: dict[str, str]) -> Message:
    where = f"messages.{number}"
    if said.role == "tool":
        if said.tool_call_id is None:
            raise bad_request(f"{where}: a tool's message needs tool_call_id", where)
        name = named.get(said.tool_call_id, "")
        return Message(Role.TOOL, (ToolResult(said.tool_call_id, name, _text(said, where)),))
    calls = tuple(
        ToolCall(call.id, call.function.name, call.function.arguments) for call in said.tool_calls or ()
    )
    named.update({call.id: call.name for call in calls})
    role = _ROLES[said.role]
    if isinstance(said.content, str) and not calls:
        return Message(role, said.content)
    if role is not Role.USER:
        text = _text(said, where)
        return Message(role, (*((Text(text),) if text else ()), *calls)) if calls else Message(role, text)
    if said.content is None:
        raise bad_request(f"{where}: content is missing", where)
    parts = said.content if isinstance(said.content, list) else []
    return Message(role, tuple(_part(part, f"{where}.content.{i}") for i, part in enumerate(parts)))


def _text(said: _Said, where: str) -> str:
    if said.content is None or isinstance(said.content, str):
        return said.content or ""
    if any(part.text is None for part in said.content):
        raise bad_request(f"{where}: only text can stand here", where)
    return "".join(part.text or "" for part in said.content)


def _part(part: _Part, where: str) -> Part:
    match part:
        case _Part(type="text", text=str(text)):
            return Text(text)
        case _Part(type="image_url", image_url=_Url(url=url)):
            return media_at(Image, where, url)
        case _Part(type="input_audio", input_audio=_Recording(data=data, format=form)):
            kind = "audio/mpeg" if form == "mp3" else f"audio/{form}"
            return media(Audio, where, data, kind)
        case _:
            raise bad_request(f"{where}: a part of type {part.type!r} cannot be used here", where)


def completion(id: str, created: int, model: str, replied: Replied) -> bytes:
    """Return a whole completion."""
    reply = replied.reply
    refused = reply.finish is FinishReason.REFUSAL
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused or (reply.calls and not reply.text) else reply.text,
        "refusal": reply.text if refused else None,
    }
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return orjson.dumps(
        {
            "id": f"chatcmpl-{id}",
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [choice],
            "usage": usage_of(replied.usage),
        }
    )


class Chunks:
    """Writes a completion as the events of a stream. See `Writer`."""

    def __init__(self, id: str, created: int, model: str, *, with_usage: bool) -> None:
        self._with_usage = with_usage
        self._spoke = False
        self._head = {
            "id": f"chatcmpl-{id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }

    def opening(self) -> bytes:
        """See `Writer.opening`."""
        return self._chunk({"role": "assistant", "content": ""})

    def pieces(self, deltas: Sequence[Delta]) -> bytes:
        """See `Writer.pieces`."""
        self._spoke = True
        return b"".join([self._chunk(_delta(delta)) for delta in deltas])

    def closing(self, replied: Replied) -> bytes:
        """See `Writer.closing`."""
        reply = replied.reply
        said = b"" if self._spoke else self.pieces(whole_as_deltas(reply))
        delta = {"refusal": reply.text} if reply.finish is FinishReason.REFUSAL else {}
        last = said + self._chunk(delta, _finish(reply))
        if self._with_usage:
            last += _event({**self._head, "choices": [], "usage": usage_of(replied.usage)})
        return last + b"data: [DONE]\n\n"

    def failure(self, error: ApiError) -> bytes:
        """See `Writer.failure`."""
        return b"data: " + error.body() + b"\n\n"

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**self._head, "choices": [choice]})


def whole_as_deltas(reply: ModelReply) -> tuple[Delta, ...]:
    """Return a reply that came without pieces as the pieces that it amounts to."""
    calls = tuple(
        ToolCallDelta(index, call.id, call.name, call.arguments) for index, call in enumerate(reply.calls)
    )
    said = reply.text and reply.finish is not FinishReason.REFUSAL
    return (*((TextDelta(reply.text),) if said else ()), *calls)


def usage_of(usage: Usage) -> dict[str, int]:
    """Return usage in the words of chat completions."""
    total = usage.input_tokens + usage.output_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": total,
    }


def _delta(delta: Delta) -> Mapping[str, Any]:
    match delta:
        case TextDelta(text=text):
            return {"content": text}
        case ToolCallDelta(index=index, id=id, name=name, arguments=arguments):
            function: dict[str, str] = {"arguments": arguments} | ({"name": name} if name else {})
            call: dict[str, Any] = {"index": index, "function": function}
            return {"tool_calls": [call | ({"id": id, "type": "function"} if id else {})]}
        case _:
            assert_never(delta)


def _finish(reply: ModelReply) -> str:
    return "tool_calls" if reply.calls and reply.finish is FinishReason.STOP else _FINISHES[reply.finish]


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
