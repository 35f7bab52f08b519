"""What every benchmark is given: how much to do, where, and how to take turns fairly."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contest import PODIUM, Contender
from benchmarks.figures import Target


class NothingToMeasure(Exception):
    """What a benchmark needs is not on this machine; the message says what and where it would be looked for."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: `rounds` counted repetitions, each at `factor` times the full size.

    `targets`: whether the figures are held against their targets, which are set for the full size.
    """

    rounds: int
    factor: float
    targets: bool


FULL = Effort(rounds=5, factor=1.0, targets=True)
QUICK = Effort(rounds=3, factor=0.1, targets=False)


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark's surroundings. `folder` is removed afterwards; `say` shows how far it has come.

    `peers` are measured beside `podium`, where a benchmark has something for them to do.
    """

    folder: Path
    effort: Effort
    say: Callable[[str], None]
    peers: tuple[Contender, ...] = ()
    podium: Contender = PODIUM

    def target(self, target: Target) -> Target | None:
        """Return the target, or None where figures are held against none."""
        return target if self.effort.targets else None

    def size(self, full: int) -> int:
        """Return how many to take where `full` is the real size; never less than 1."""
        return max(1, round(full * self.effort.factor))

    def new_file(self) -> Path:
        """Return the path of a database that does not exist yet."""
        return self.folder / f"{uuid.uuid4().hex}.db"

    def take_turns(self, *contenders: Callable[[], float]) -> list[list[float]]:
        """Return each contender's samples, one a round.

        The contenders follow one another in each round, in turned order every second time, so that what else
        happens on the machine hits all of them. A round before the first warms up and is not counted.
        """
        samples: list[list[float]] = [[] for _ in contenders]
        turns = list(enumerate(contenders))
        for number in range(self.effort.rounds + 1):
            self.say(f"round {number} of {self.effort.rounds}" if number else "warming up")
            for index, measure in turns if number % 2 else reversed(turns):
                gc.collect()
                sample = measure()
                if number:
                    samples[index].append(sample)
        return samples
