"""What is said of a request that nobody recorded: the recorded one that comes nearest, and how they differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from podium.providers.cassettes.recording import Recording
from podium.providers.wording import one_line

_AROUND = 24
_SHOWN = 60


def nearest(asked: Mapping[str, Any], recordings: Iterable[Recording]) -> Recording | None:
    """Return the recording whose request is most like `asked`: first in its messages, then in all else."""
    wanted = _text(asked)
    rest = {name: value for name, value in asked.items() if name != "messages"}

    def likeness(recording: Recording) -> tuple[float, int]:
        request = recording.request
        same = sum(request.get(name) == value for name, value in rest.items())
        return _overlap(wanted, _text(request)), same - len(set(request) - set(asked))

    return max(recordings, key=likeness, default=None)


def difference(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> str:
    """Return in one line what differs between two requests: in which message where, and which settings."""
    told = [
        f"{name} is {_shown(asked.get(name))}, was {_shown(recorded.get(name))}"
        for name in sorted((set(asked) | set(recorded)) - {"messages"})
        if asked.get(name) != recorded.get(name)
    ]
    return "; ".join([*_of_messages(asked.get("messages", []), recorded.get("messages", [])), *told])


def _of_messages(asked: list[Any], recorded: list[Any]) -> Iterator[str]:
    for number, (ours, theirs) in enumerate(zip(asked, recorded, strict=False), 1):
        if ours != theirs:
            same = _role(ours) == _role(theirs)
            pair = (_said(ours), _said(theirs)) if same else (_plain(ours), _plain(theirs))
            yield f"message {number} {_where(*pair)}"
            return
    if len(asked) != len(recorded):
        yield f"{len(asked)} messages, were {len(recorded)}"


def _where(ours: str, theirs: str) -> str:
    start = _alike(ours, theirs)
    first = max(start - _AROUND // 2, 0)
    here, there = (text[first : start + _AROUND] for text in (ours, theirs))
    return f"differs at character {start + 1}: is {_quoted(here)}, was {_quoted(there)}"


def _overlap(one: str, other: str) -> float:
    """Return the share of the longer text that both begin and end alike with, from 0 to 1."""
    longer = max(len(one), len(other))
    if not longer:
        return 1.0
    begin = _alike(one, other)
    left, right = one[begin:], other[begin:]
    end = _alike(left[::-1], right[::-1])
    return (begin + end) / longer


def _alike(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (ours, theirs) in pairs if ours != theirs), min(len(one), len(other)))


def _text(request: Mapping[str, Any]) -> str:
    return "\n".join(_plain(message) for message in request.get("messages", []))


def _plain(message: Any) -> str:
    return f"{_role(message)}: {_said(message)}"


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _said(message: Any) -> str:
    """Return the text of a message, or all of it where it is no mere text."""
    if isinstance(message, dict):
        others = [value for name, value in message.items() if name != "role"]
        if len(others) == 1 and isinstance(others[0], str):
            return others[0]
    return json.dumps(message, ensure_ascii=False)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    text = one_line(json.dumps(value, ensure_ascii=False, sort_keys=True))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _quoted(text: str) -> str:
    return f'"{one_line(text)}"' if text else "its end"
