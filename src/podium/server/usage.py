"""What a reply says that it took, or that went wrong, found in its bytes without reading the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from podium.app.prices import reported_cost
from podium.domain.answers import Usage
from podium.domain.money import Money

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_ERROR = b'"error"'
_PLAIN = re.compile(r"[a-z0-9_]{1,60}")
_LONGEST_LINE = 8 * 1024 * 1024
_MASK = b"[key]"


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens and, if the upstream reports it, cost."""

    usage: Usage
    cost: Money | None


def counted(body: bytes) -> Counted | None:
    """Return what a whole reply counted, or None when it says nothing of it."""
    try:
        return _of(orjson.loads(body))
    except orjson.JSONDecodeError:
        return None


def without(data: bytes, key: bytes) -> bytes:
    """Return `data` with the upstream's `key` masked."""
    return data.replace(key, _MASK) if key and key in data else data


class StreamTap:
    """Stands in a stream of events: hands the lines on as they come, and keeps what the reply counted.

    `hide`: the event that holds nothing but the usage was not asked for by the client, and is not handed on. `key`: the
    upstream's, which no client is to see. `error` is the class of an error that the stream told of, None without any.
    """

    def __init__(self, *, hide: bool, key: str) -> None:
        self._hide = hide
        self._key = key.encode()
        self._rest = b""
        self.counted: Counted | None = None
        self.error: str | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk and return what may be handed on: whole lines, so that no key stands in two of them."""
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) > _LONGEST_LINE:
            data = without(data, self._key)
            # What is left may be the beginning of a key.
            end = len(data) - len(self._key)
        self._rest = data[end:]
        return self._read(data[:end])

    def rest(self) -> bytes:
        """Return what is left after the last chunk."""
        rest, self._rest = self._rest, b""
        return self._read(rest)

    def _read(self, lines: bytes) -> bytes:
        lines = without(lines, self._key)
        if _ERROR in lines:
            self._look_for_errors(lines)
        return self._searched(lines) if _USAGE.search(lines) else lines

    def _look_for_errors(self, lines: bytes) -> None:
        for line in lines.splitlines():
            if self.error is None and line.startswith(b"data:") and _ERROR in line:
                self.error = _error_in(line[5:])

    def _searched(self, lines: bytes) -> bytes:
        kept = [line for line in lines.splitlines(keepends=True) if not self._is_hidden(line)]
        return b"".join(kept)

    def _is_hidden(self, line: bytes) -> bool:
        if not line.startswith(b"data:") or not _USAGE.search(line):
            return False
        try:
            event = orjson.loads(line[5:])
        except orjson.JSONDecodeError:
            return False
        found = _of(event)
        if found is None:
            return False
        self.counted = found
        return self._hide and event.get("choices") == []


def _error_in(data: bytes) -> str | None:
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, Mapping):
        return None
    told = event.get("error")
    if told is None and isinstance(event.get("response"), Mapping):
        told = event["response"].get("error")
    if told is None and event.get("type") == "error":
        told = {"code": event.get("code")}
    if not told:
        return None
    named = (told.get("code"), told.get("type")) if isinstance(told, Mapping) else ()
    return next((each for each in named if isinstance(each, str) and _PLAIN.fullmatch(each)), "error")


def _of(reply: Any) -> Counted | None:
    if not isinstance(reply, Mapping):
        return None
    told = reply.get("usage")
    if told is None and isinstance(reply.get("response"), Mapping):
        told = reply["response"].get("usage")
    if not isinstance(told, Mapping):
        return None
    read = told.get("prompt_tokens", told.get("input_tokens", 0))
    written = told.get("completion_tokens", told.get("output_tokens", 0))
    if not isinstance(read, int) or not isinstance(written, int):
        return None
    return Counted(Usage(read, written), reported_cost(told.get("cost")))
