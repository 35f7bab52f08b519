"""What a part of chaos is: something that tries faults for a while and tells what was not as promised."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to try: for about so many seconds, in `folder`. The same `seed` tries the same things in the same order."""

    seed: int
    seconds: float
    folder: Path

    def rounds(self, part: str, least: int = 1) -> Iterator[tuple[int, random.Random, Path]]:
        """Count rounds until the time is over, `least` of them at any rate: number, dice and a folder of its own."""
        end, number = time.monotonic() + self.seconds, 0
        while number < least or time.monotonic() < end:
            # Text, so that the dice of every round are its own and stay the same in every process.
            yield number, random.Random(f"{self.seed} {part} {number}"), self.folder / f"{part}-{number}"
            number += 1


@dataclass
class Outcome:
    """What a part tried, by name, and what was not as promised, in words."""

    tried: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its name, what it does in a line, and its share of the time."""

    name: str
    title: str
    share: float
    run: Callable[[Effort], Outcome]
