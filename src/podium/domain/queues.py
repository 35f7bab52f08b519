"""Queues: where runs wait until there is room for them, and what decides that there is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from podium.domain.budgets import Budget, Unit
from podium.domain.errors import InvalidDefinition, InvalidInput
from podium.domain.periods import period_seconds, require, shown_period

MAX_NAME: Final = 200
MAX_PRIORITY: Final = 2**31 - 1
"""Priorities go from minus this to this."""

_RATE = re.compile(r"(\d+)\s*/\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` runs begin within any `per` seconds. Raises `InvalidDefinition` for what bounds nothing."""

    count: int
    per: float = 1.0

    def __post_init__(self) -> None:
        require(self.count >= 1, "a rate must allow 1 start or more")
        require(0 < self.per < float("inf"), "a rate's period must be more than 0 seconds")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return the rate that `10/s`, `100/min` or `5/30s` says; raises `InvalidDefinition`."""
        found = _RATE.fullmatch(text.strip().lower())
        if found is None:
            raise InvalidDefinition(f"{text!r} is no rate; write e.g. '10/s', '100/min' or '5/30s'.")
        return cls(int(found[1]), period_seconds(found[2], text))

    def __str__(self) -> str:
        return f"{self.count}/{shown_period(self.per)}"


@dataclass(frozen=True, slots=True, init=False)
class Queue:
    """A queue that runs are placed in, and the limits within which they begin; None is no limit.

    `concurrency`: runs at work at once. A run that waits for a person, an event or a time holds nothing and is not
    counted, unless `counts_waiting`; when it wakes it goes on at once, without being admitted again.
    `rate`: starts within a sliding period. `budget`: no run begins while the queue's runs have spent this much within
    a sliding period; runs at work are not stopped by it. `max_depth`: pending runs beyond which a start raises
    `QueueFull`. Runs begin by priority, higher first; within a priority by turns of their tenants if `fair`; then by
    age. Raises `InvalidDefinition` when a limit makes no sense.
    """

    name: str
    concurrency: int | None
    rate: Rate | None
    budget: Budget | None
    max_depth: int | None
    fair: bool
    counts_waiting: bool

    def __init__(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        rate: Rate | str | None = None,
        budget: Budget | str | None = None,
        max_depth: int | None = None,
        fair: bool = True,
        counts_waiting: bool = False,
    ) -> None:
        require(0 < len(name) <= MAX_NAME and name.isprintable(), f"{name[:60]!a} cannot name a queue")
        for what, limit in (("concurrency", concurrency), ("max_depth", max_depth)):
            require(limit is None or limit >= 1, f"queue {name!r}: {what} must be 1 or more")
        budget = Budget.parse(budget) if isinstance(budget, str) else budget
        require(budget is None or math.isfinite(budget.per), f"queue {name!r}: its budget needs a period")
        counts = budget is not None and budget.unit is Unit.REQUESTS
        require(not counts, f"queue {name!r}: its budget must be money or tokens")
        values = {
            "name": name,
            "concurrency": concurrency,
            "rate": Rate.parse(rate) if isinstance(rate, str) else rate,
            "budget": budget,
            "max_depth": max_depth,
            "fair": fair,
            "counts_waiting": counts_waiting,
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model call took of a budget, in the budget's unit, and when (seconds since the epoch)."""

    at: float
    amount: int


@dataclass(frozen=True, slots=True)
class Used:
    """How much of a limit is used within its sliding period, and when it will be less than the limit again.

    `free_at` is in seconds since the epoch, and None while the limit is not reached.
    """

    amount: int = 0
    free_at: float | None = None


@dataclass(frozen=True, slots=True)
class QueueUse:
    """What a queue's limits are measured against: runs at work, runs that wait, starts and spending of late."""

    running: int = 0
    waiting: int = 0
    started: Used = Used()
    spent: Used = Used()


@dataclass(frozen=True, slots=True)
class Room:
    """How many more runs a queue may begin now (None: any number).

    When that is 0, `why` says so in words and `again_at` when it changes by itself, in seconds since the epoch.
    """

    places: int | None
    why: str | None = None
    again_at: float | None = None


def within(at: float, now: float, per: float) -> bool:
    """Return whether `at` counts in the sliding period of `per` seconds that ends `now`.

    What is up to one period in the future counts too: the clock may have been set back since. What is farther
    does not, so that a clock that was once wrong by a year holds nothing up for a year.
    """
    return now - per < at <= now + per


def budget_used(spent: Iterable[Spent], budget: Budget | None, now: float) -> Used:
    """Return how much of `budget` the calls in `spent`, in any order, have used by `now`."""
    if budget is None:
        return Used()
    counted = sorted((call for call in spent if within(call.at, now, budget.per)), key=lambda call: call.at)
    left = total = sum(call.amount for call in counted)
    for call in counted:
        if left < budget.limit:
            break
        left -= call.amount
        if left < budget.limit:
            return Used(total, call.at + budget.per)
    return Used(total)


def room(queue: Queue, use: QueueUse) -> Room:
    """Return how many runs `queue` may begin, given what its limits are used for."""
    found: list[Room] = []
    if queue.concurrency is not None:
        begun = use.running + (use.waiting if queue.counts_waiting else 0)
        what = "have begun and not ended" if queue.counts_waiting else "are at work"
        why = f"{begun} of {queue.concurrency} runs {what}"
        found.append(Room(max(queue.concurrency - begun, 0), why))
    if queue.rate is not None:
        why = f"rate of {queue.rate} used up"
        found.append(Room(max(queue.rate.count - use.started.amount, 0), why, use.started.free_at))
    if queue.budget is not None and use.spent.amount >= queue.budget.limit:
        found.append(Room(0, f"budget of {queue.budget} used up", use.spent.free_at))
    closed = [each for each in found if each.places == 0]
    if not closed:
        return Room(min((each.places for each in found if each.places is not None), default=None))
    # What lasts longest is what the queue waits for; nobody knows when a run ends.
    longest = max(closed, key=lambda each: float("inf") if each.again_at is None else each.again_at)
    return Room(0, longest.why, longest.again_at)


def checked_priority(priority: object) -> int:
    """Return a run's priority; raises `InvalidInput` when it is no whole number that can be stored."""
    if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > MAX_PRIORITY:
        raise InvalidInput(
            f"a priority is a whole number up to {MAX_PRIORITY:,} either way, not {priority!r}."
        )
    return priority
