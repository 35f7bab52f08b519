"""Text that reads like none and repeats like any: words of a small language, the common ones often."""

from __future__ import annotations

import random
from functools import cache

_SYLLABLES = (
    "an",
    "be",
    "co",
    "di",
    "el",
    "fu",
    "ga",
    "he",
    "in",
    "jo",
    "ka",
    "le",
    "mi",
    "no",
    "or",
    "pa",
    "qui",
    "tion",
)


@cache
def _words() -> list[str]:
    chance = random.Random("words")
    return ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4))) for _ in range(2000)]


def prose(length: int, *, seed: object) -> str:
    """Return `length` characters of text; another seed gives another text of the same words."""
    chance = random.Random(repr(seed))
    words = _words()
    # The square makes the first words of the list the common ones.
    told = (words[int(chance.random() ** 2 * len(words))] for _ in range(length // 2))
    return " ".join(told)[:length]
