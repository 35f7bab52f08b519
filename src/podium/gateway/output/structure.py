"""The bracket structure of a text that may be JSON, whole, cut off or broken."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEEPEST = 64
"""Levels of nesting beyond which a text is not read: no answer needs them, and recursive code fails on them."""

# A whole string, or a quote that nothing closes, or a bracket. Possessive, so that it takes linear time.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)


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
    level = deepest = 0
    for match in _TOKEN.finditer(text):
        match match[0]:
            case "{" | "[":
                level += 1
                deepest = max(deepest, level)
            case "}" | "]":
                level -= 1
            case '"':
                return Structure(True, level, deepest)
            case _:
                pass
    return Structure(False, level, deepest)


def nested_too_deeply(text: str) -> bool:
    """Return whether `text` nests deeper than `DEEPEST` levels."""
    return text.count("{") + text.count("[") > DEEPEST and structure(text).deepest > DEEPEST
