"""Broken strings of an object, read by its members: where a key stands at the place of a key, a value has ended.

Models forget to escape quotes inside a string, or to close it, or close it with a typographic quote. What stands
between one member's key and the next is then its value, whatever quotes are in it. That is a guess, though one that
leaves nothing out and adds nothing.
"""

from __future__ import annotations

import re
from itertools import islice, pairwise
from typing import Any

from podium.gateway.output.rungs import TwiceGiven, invalid_backslashes, strict

_KEY = re.compile(r'"([A-Za-z_][\w-]{0,63})"\s{0,20}:')
_MOST_SPACE = 200
_MOST_KEYS = 1000
_MOST_QUOTES = 10_000
_OPENING = ('"', "\u201c", "`")
_CLOSING = ('"', "\u201d", "\u201c", "`")
_UNESCAPED = re.compile(r'((?:\\\\)*)(\\?)"')


def by_members(text: str) -> dict[str, Any]:
    """Return the flat object that `text` was meant to be; raises `ValueError` where that cannot be told."""
    if not (text.startswith("{") and text.endswith("}")):
        raise ValueError("it is not one JSON object")
    if text.count('"') > _MOST_QUOTES:
        raise ValueError("it has too many quotes")
    candidates = list(islice(_KEY.finditer(text), _MOST_KEYS + 1))
    if len(candidates) > _MOST_KEYS:
        raise ValueError("it has too many keys")
    keys = [found for found in candidates if _begins_a_member(text, found.start())]
    if not keys or text[1 : keys[0].start()].strip():
        raise ValueError("it does not begin with a key")
    ends = [following.start() for _, following in pairwise(keys)]
    made: dict[str, Any] = {}
    for key, end in zip(keys, [*ends, len(text) - 1], strict=True):
        if key[1] in made:
            raise TwiceGiven(f"the key {key[1]!r} is given twice")
        said = text[key.end() : end].strip().removesuffix(",").rstrip()
        # Only a key that follows tells that a string without its end is all there.
        made[key[1]] = _value(said, closed=end == len(text) - 1)
    return made


def _begins_a_member(text: str, start: int) -> bool:
    before = text[max(start - _MOST_SPACE, 0) : start]
    said = before.rstrip()
    space = before[len(said) :]
    # A comma may be missing, between a string's end and the next key.
    return said.endswith(("{", ",")) or "\n" in space or (said.endswith('"') and bool(space))


def _value(text: str, *, closed: bool) -> Any:
    try:
        return strict(text)
    except ValueError:
        if not text.startswith(_OPENING):
            raise ValueError("a value is neither JSON nor a string") from None
    inner = text[1:]
    if inner.endswith(_CLOSING) and not inner.endswith('\\"'):
        inner = inner[:-1]
    elif closed:
        raise ValueError("its last string has no end")
    return invalid_backslashes(f'"{_UNESCAPED.sub(_escaped, inner)}"')


def _escaped(found: re.Match[str]) -> str:
    return f'{found[1]}\\"'
