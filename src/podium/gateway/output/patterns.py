"""How large a regular expression becomes when it is compiled, known before it is."""

from __future__ import annotations

import re
from typing import Final

from podium.domain.errors import InvalidInput

MOST_REPEATS: Final = 1_000
"""The largest number that a pattern may repeat a part by."""

LARGEST_PATTERN: Final = 10_000
"""Characters that a pattern may have once its repetitions are written out; a class of letters counts as 20."""

_LONGEST = 2_000
_DEEPEST = 50
_CLASS_WEIGHT = 20
# An escape, a class in brackets, a bracket of a group, a number of repetitions, any other sign.
_PART = re.compile(
    r"\\[pP]\{[^}]*+\}|\\.|\[\^?+\]?+(?:[^\]\\]|\\.)*+\]|\((?:\?[^)(]{0,40}?[:=!>])?+|\)"
    r"|\{(?P<least>\d++)(?P<comma>,(?P<most>\d*+))?+\}|.",
    re.DOTALL,
)


def pattern_size(pattern: str) -> int:
    """Return how many characters `pattern` has with its repetitions written out.

    Raises `InvalidInput` for one that is too long, too deep, or repeats too often.
    """
    if len(pattern) > _LONGEST:
        raise InvalidInput(f"a pattern may have {_LONGEST} characters, this one has {len(pattern)}")
    # The size of each group that is open, and of its latest part.
    groups: list[list[int]] = [[0, 0]]
    for part in _PART.finditer(pattern):
        said, group = part[0], groups[-1]
        if said.startswith("("):
            groups.append([0, 0])
            if len(groups) > _DEEPEST:
                raise InvalidInput(f"a pattern may nest {_DEEPEST} groups")
        elif said == ")" and len(groups) > 1:
            size = sum(groups.pop())
            groups[-1] = [sum(groups[-1]), max(size, 1)]
        elif part["least"] is not None:
            group[1] *= max(_repeats(part), 1)
        elif said not in "*+?":
            groups[-1] = [
                sum(group),
                _CLASS_WEIGHT if said[:2] in {"\\w", "\\W", "\\p", "\\P"} else len(said),
            ]
        if sum(map(sum, groups)) > LARGEST_PATTERN:
            raise InvalidInput(f"a pattern may come to {LARGEST_PATTERN} characters, repetitions written out")
    return sum(map(sum, groups))


def _repeats(part: re.Match[str]) -> int:
    written = part["most"] or part["least"]
    # Longer numbers are not even read.
    repeats = int(written) if len(written) <= len(str(MOST_REPEATS)) else MOST_REPEATS + 1
    repeats = max(repeats, int(part["least"][:5]))
    if repeats > MOST_REPEATS:
        raise InvalidInput(f"a pattern may repeat a part {MOST_REPEATS} times, not {written[:20]}")
    return repeats
