"""What services say of tokens: made readable before their libraries stumble over it, and believed only where it can be true."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx2

from podium.domain.answers import Usage
from podium.ports.models import ModelRequest

_MOST: Final = 10**9
# Of what services add unseen: a template of their own, what they say of tools and schemas, thoughts.
_UNSEEN: Final = 16_384
_PER_MEDIA: Final = 1_000_000
_SCHEMA_TOLD: Final = 4

_SAYS: Final = re.compile(rb'"usage(?:Metadata)?"\s*:(?!\s*null)|"type"\s*:\s*"message(?:_start|_delta)?"')
_OPENAI: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_ANTHROPIC: Final[Mapping[object, tuple[str, ...]]] = {
    "message": ("input_tokens", "output_tokens"),
    "message_delta": ("output_tokens",),
}
_OBJECTS: Final = ("_details", "_creation", "_use")


class ReadableStream(httpx2.AsyncByteStream):
    """The body of a response in which odd figures of usage are left out; all else stays as it came, byte by byte."""

    def __init__(self, stream: httpx2.AsyncByteStream, kind: str) -> None:
        self._stream = stream
        self._kind = kind

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield whole lines of a stream of events as soon as they are there, JSON at once, anything else as it comes."""
        kept: list[bytes] = []
        async for chunk in self._stream:
            match self._kind:
                case "text/event-stream":
                    end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
                    if end:
                        yield _readable_lines(b"".join((*kept, chunk[:end])))
                        kept.clear()
                    kept.append(chunk[end:])
                case "application/json":
                    kept.append(chunk)
                case _:
                    yield chunk
        rest = b"".join(kept)
        if rest:
            yield readable(rest) if self._kind == "application/json" else _readable_lines(rest)

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._stream.aclose()


def readable(body: bytes) -> bytes:
    """Return a body of JSON without figures of usage that are none; as it is when there are none such."""
    if not _SAYS.search(body):
        return body
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return json.dumps(said).encode() if _is_changed(said) else body


def believed(usage: Any, request: ModelRequest, heard: int) -> tuple[Usage, bool]:
    """Return the tokens as a service counted them, and whether that is all of them.

    What it did not count, or counted in a way that cannot be true, is 0. No request has more tokens than bytes, and
    no reply more than bytes or than it was allowed; `heard` is how many bytes came. Media are large, and
    something is always added unseen.
    """
    sent = sum(len(message.text.encode(errors="replace")) for message in request.messages)
    sent += sum(
        len(str(part)) for message in request.messages for part in message.parts if message.role == "tool"
    )
    sent += sum(len(str(tool)) for tool in request.tools)
    sent += _SCHEMA_TOLD * len(str(request.schema or ""))
    sent += _PER_MEDIA * len(request.media)
    read = _believed(usage.input_tokens, sent + _UNSEEN)
    written = _believed(usage.output_tokens, max(heard, request.max_tokens) + _UNSEEN)
    return Usage(read, written), read > 0 and (written > 0 or not heard)


def _believed(count: object, most: int) -> int:
    return count if isinstance(count, int) and 0 <= count <= most else 0


def _readable_lines(lines: bytes) -> bytes:
    if not _SAYS.search(lines):
        return lines
    return b"".join(map(_readable_line, lines.splitlines(keepends=True)))


def _readable_line(line: bytes) -> bytes:
    head, colon, body = line.partition(b":")
    if head != b"data" or not colon:
        return line
    plain = body.strip()
    made = readable(plain)
    return line if made is plain else b"data: " + made + line[len(line.rstrip()) :]


def _is_changed(said: Any) -> bool:
    """Leave out what is odd; return whether anything was."""
    changed = False
    for holder in (said, said.get("message")) if isinstance(said, dict) else ():
        if not isinstance(holder, dict):
            continue
        needed = _ANTHROPIC.get(holder.get("type"), ()) if isinstance(holder.get("type"), str) else ()
        for name in ("usage", "usageMetadata"):
            told = holder.get(name)
            if told is None and not (needed and name == "usage"):
                continue
            made = _plain(told) if isinstance(told, dict) else {}
            if "choices" in holder:
                needed = _OPENAI
            for each in needed:
                if not isinstance(made.get(each), int):
                    made[each] = 0
            if repr(made) != repr(told):
                holder[name] = made
                changed = True
    return changed


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in told.items():
        if not _is_fit(name, value):
            continue
        match value:
            case dict():
                made[name] = _plain(value)
            case list():
                made[name] = [_plain(each) for each in value if isinstance(each, dict)]
            case _:
                made[name] = value
    return made


def _is_fit(name: str, value: object) -> bool:
    """Return whether a value is of the kind that its name says."""
    if value is None:
        return True
    if name.endswith(_OBJECTS):
        return isinstance(value, dict)
    if name.endswith("Details") or name == "iterations":
        return isinstance(value, list)
    if name.endswith(("tokens", "TokenCount", "tokenCount")):
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    if isinstance(value, int | float):
        return math.isfinite(value) and 0 <= value <= _MOST
    return True
