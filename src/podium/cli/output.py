"""What the command prints: JSON for programs, plain text for people, nothing that a terminal would obey."""

from __future__ import annotations

import dataclasses
import re
import sys
import time
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import orjson
from rich.console import Console

from podium.domain.money import Money

_PIPE_WIDTH = 400
_NOT_SHOWN = re.compile(r"[^ -~\n]")


class ReaderGone(Exception):
    """Whoever read standard output has gone: `head` has seen enough, which is no error."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise ReaderGone


def console() -> Console:
    """Return the console for people, on standard output; wide and plain where that is no terminal.

    It raises `ReaderGone` when nobody reads any more.
    """
    if on_terminal():
        return _Console(highlight=False, soft_wrap=True)
    return _Console(
        highlight=False, soft_wrap=True, width=_PIPE_WIDTH, color_system=None, force_terminal=False
    )


def on_terminal() -> bool:
    """Return whether standard output is a terminal, whatever the environment pretends."""
    return sys.stdout.isatty()


def plain(text: object, limit: int | None = None) -> str:
    """Return text from anywhere as one harmless line: no control characters, cut at `limit` characters."""
    cleaned = "".join(char if char.isprintable() else " " for char in str(text))
    line = " ".join(cleaned.split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def harmless(text: str) -> str:
    """Return text from anywhere with its line breaks, without control and direction characters."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text.replace("\r\n", "\n")
    )


def print_json(value: Any) -> None:
    """Print `value` as one line of JSON, in which whatever a terminal might obey is escaped.

    Raises `ReaderGone` when nobody reads any more.
    """
    text = orjson.dumps(jsonable(value), option=orjson.OPT_NON_STR_KEYS).decode()
    try:
        sys.stdout.buffer.write(_NOT_SHOWN.sub(_escaped, text).encode() + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def _escaped(found: re.Match[str]) -> str:
    sign = found.group()
    if sign.isprintable():
        return sign
    units = sign.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def jsonable(value: Any) -> Any:
    """Return domain data as plain JSON types; stored JSON is opened, money becomes dollars."""
    match value:
        case Money():
            return value.nanos / 1_000_000_000
        case bytes():
            return _opened(value)
        case Enum():
            return value.value
        case dict():
            return {str(jsonable(name)): jsonable(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [jsonable(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return {spec.name: jsonable(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
        case _:
            return value


def _opened(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode("utf-8", "replace")


def shown_time(at: float | None) -> str:
    """Return a time as UTC text, or a dash."""
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def shown_seconds(duration: float | None) -> str:
    """Return a duration for people: `12 ms`, `3.4 s`, `2 m 05 s`, `3 h 20 m`."""
    if duration is None:
        return "-"
    if duration < 1:
        return f"{duration * 1000:.0f} ms"
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} m {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"


def shown_due(due_at: float | None) -> str:
    """Return when something is due, seen from now: `in 1 h 59 m`, `5 m 10 s ago`, or a dash."""
    if due_at is None:
        return "-"
    left = due_at - time.time()
    return f"in {shown_seconds(left)}" if left >= 0 else f"{shown_seconds(-left)} ago"
