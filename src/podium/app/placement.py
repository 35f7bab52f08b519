"""Where a start places its run: which queue, how urgent, not before when."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podium.domain.durations import Duration, seconds
from podium.domain.errors import InvalidDefinition, InvalidInput
from podium.domain.queues import Queue, checked_priority
from podium.domain.runs import Placement

if TYPE_CHECKING:
    from podium.flow.workflows import Workflow

MAX_DEBOUNCE = 200
Time = float | datetime.datetime
"""Seconds since the epoch, or a date and time with its zone."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a start asks for, as it was given; None is the default of the workflow, or none. See `Podium.start`."""

    queue: str | None = None
    priority: int | None = None
    start_at: Time | None = None
    delay: Duration | None = None
    debounce: str | None = None


def queues_by_name(queues: Sequence[Queue], workflows: Iterable[Workflow[Any, Any]]) -> Mapping[str, Queue]:
    """Return the declared queues; raises `InvalidDefinition` when one is missing or declared twice."""
    named: dict[str, Queue] = {}
    for queue in queues:
        if not isinstance(queue, Queue):
            raise InvalidDefinition(f"{queue!r} is no queue; declare it as Queue(name, ...).")
        if named.setdefault(queue.name, queue) != queue:
            raise InvalidDefinition(f"queue {queue.name!r} is declared twice, with different limits.")
    for workflow in workflows:
        if workflow.queue is not None and workflow.queue not in named:
            raise InvalidDefinition(
                f"workflow {workflow.name!r} names the queue {workflow.queue!r}, which is not declared: add "
                f"Queue({workflow.queue!r}, ...) to Podium(..., queues=[...]), or beside the workflow in its file."
            )
    return named


def placement_of(
    wish: Wish, workflow: Workflow[Any, Any], queues: Mapping[str, Queue], now: float
) -> Placement:
    """Return where a run of `workflow` is placed; `now` is seconds since the epoch. Raises `InvalidInput`."""
    queue = workflow.queue if wish.queue is None else wish.queue
    _check_names(wish, workflow)
    if queue is None:
        if wish != Wish():
            raise InvalidInput(
                "priority, start_at, delay and debounce are for runs in a queue: name one with queue=, here or in "
                "@workflow. Queue('later') without limits will do."
            )
        return Placement()
    if queue not in queues:
        known = ", ".join(sorted(map(repr, queues))) or "none"
        raise InvalidInput(
            f"queue {queue!r} is not declared (declared: {known}): add Queue({queue!r}, ...) to "
            "Podium(..., queues=[...])."
        )
    start_at = _start_at(wish, now)
    return Placement(queue, checked_priority(wish.priority or 0), start_at, _debounce(wish.debounce))


def _check_names(wish: Wish, workflow: Workflow[Any, Any]) -> None:
    for name in Wish.__slots__:
        if getattr(wish, name) is not None and name in workflow.signature.names:
            raise InvalidInput(
                f"{name}= would be the place of the run and not the argument {name!r} of workflow "
                f"{workflow.name!r}: give that argument by position, without its name."
            )


def _start_at(wish: Wish, now: float) -> float:
    if wish.start_at is not None and wish.delay is not None:
        raise InvalidInput("start_at= and delay= exclude each other: give the time, or how long from now.")
    if wish.delay is not None:
        return now + seconds(wish.delay)
    if wish.start_at is None:
        return now
    if not isinstance(wish.start_at, datetime.datetime):
        start_at = float(wish.start_at)
    elif wish.start_at.tzinfo is None:
        raise InvalidInput(f"start_at={wish.start_at.isoformat()} names no time zone; give it a tzinfo.")
    else:
        start_at = wish.start_at.timestamp()
    if not math.isfinite(start_at):
        raise InvalidInput(f"start_at cannot be {start_at}; it is seconds since the epoch.")
    return start_at


def _debounce(key: str | None) -> str | None:
    if key is not None and (not 0 < len(key) <= MAX_DEBOUNCE or not key.isprintable()):
        raise InvalidInput(
            f"{key[:60]!a} cannot be a debounce key: it must be 1 to {MAX_DEBOUNCE} printable characters."
        )
    return key
