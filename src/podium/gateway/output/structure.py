"""The bracket structure of a text that may be JSON, whole, cut off or broken.

No loop of Python's own goes over the text: whatever it is, a megabyte takes some milliseconds.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from itertools import accumulate

DEEPEST = 64
"""Levels of nesting beyond which a text is not read: no answer needs them, and recursive code fails on them."""

MOST_VALUES = 64_000
"""Brackets, commas or strings beyond which a text is not read: they are more than any model can write in one reply."""

# Up to a quote that nothing closes. Possessive, as the next, so that they take linear time.
_CLOSED = re.compile(r'(?:[^"]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_UP, _DOWN = b"{[", b"}]"
_STEPS = bytes.maketrans(_UP + _DOWN, b"\x01\x01\xff\xff")
_OTHERS = bytes(sign for sign in range(256) if sign not in _UP + _DOWN)


@dataclass(frozen=True, slots=True)
class Structure:
    """How a text stands at its end: inside a string, with `open` brackets unclosed, `deepest` levels at most."""

    in_string: bool
    open: int
    deepest: int

    @property
    def closed(self) -> bool:
        """Whether everything that was opened was closed."""
        return not self.in_string and self.open == 0


def structure(text: str) -> Structure:
    """Return the structure of `text`, exact for JSON and its prefixes, a fair guess for anything else."""
    closed = _CLOSED.match(text)
    end = 0 if closed is None else closed.end()
    bare = _STRING.sub("", text[:end]).encode("ascii", "replace")
    steps = array("b", bare.translate(_STEPS, _OTHERS))
    return Structure(end < len(text), sum(steps), max(accumulate(steps, initial=0)))


def nested_too_deeply(text: str) -> bool:
    """Return whether `text` nests deeper than `DEEPEST` levels."""
    return text.count("{") + text.count("[") > DEEPEST and structure(text).deepest > DEEPEST


def holds_too_much(text: str) -> bool:
    """Return whether `text` has more than `MOST_VALUES` strings or, outside of them, brackets or commas."""
    if text.count('"') > 2 * MOST_VALUES:
        return True
    return _values(text) > MOST_VALUES and _values(_STRING.sub("", text)) > MOST_VALUES


def _values(text: str) -> int:
    opened, closed = text.count("{") + text.count("["), text.count("}") + text.count("]")
    return max(opened, closed) + text.count(",")
