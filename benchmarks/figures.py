"""What a benchmark finds: figures with their samples, and the targets that some of them have."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Bound(StrEnum):
    """On which side of a target a figure should be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should reach, in the figure's unit."""

    bound: Bound
    value: float

    def is_met_by(self, value: float) -> bool:
        """Return whether `value` is on the right side."""
        return value >= self.value if self.bound is Bound.AT_LEAST else value <= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity. `value` sums up `samples` in the way that `summary` says; all are in `unit`."""

    name: str
    unit: str
    value: float
    samples: tuple[float, ...]
    summary: str
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found. `seconds` is how long it took in all, preparations included."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    seconds: float


def median(name: str, unit: str, samples: Sequence[float], target: Target | None = None) -> Figure:
    """Return the figure whose value is the median of one sample from each round."""
    return Figure(name, unit, statistics.median(samples), tuple(samples), "median", target)


def best(name: str, unit: str, samples: Sequence[float], target: Target | None = None) -> Figure:
    """Return the figure whose value is the lowest sample: what the work takes when nothing else disturbs it."""
    return Figure(name, unit, min(samples), tuple(samples), "best", target)


def ratio(name: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None) -> Figure:
    """Return how many times `theirs` goes into `ours`, paired round by round: noise that hit both cancels out."""
    return median(name, "x", [mine / other for mine, other in zip(ours, theirs, strict=True)], target)


def at_best(choose: Callable[[Iterable[float]], float], samples: Sequence[Sequence[float]]) -> list[float]:
    """Return the best that any of several contenders did in each round; `choose` is `max` or `min`."""
    return [choose(of_one_round) for of_one_round in zip(*samples, strict=True)]


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` % of all do not exceed (the nearest rank)."""
    rank = math.ceil(len(samples) * percent / 100)
    return sorted(samples)[max(rank, 1) - 1]
