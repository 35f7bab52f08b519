"""Triggers: rules that start runs. What they have done so far, and what is to be fired now."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from podium.domain.ids import RunId, digest
from podium.domain.runs import DEFAULT_TENANT
from podium.domain.timetables import Timetable, count_between, latest

if TYPE_CHECKING:
    from podium.domain.errors import ErrorRecord

ON_TIME = 60.0
"""Seconds by which a firing may be late and still count as on time; what is later was missed."""

MOST_COUNTED = 1000
"""How far missed firings are counted."""

CLOCK_FAULT = 86_400.0
"""A last firing that lies further ahead than this, in seconds, was made by a clock that was wrong."""


class TriggerKind(StrEnum):
    """What a trigger waits for."""

    SCHEDULE = "schedule"
    EVENT = "event"


class CatchUp(StrEnum):
    """What becomes of firings that were missed while no process worked: the latest one, all of them, or none."""

    LATEST = "latest"
    ALL = "all"
    SKIP = "skip"


class Overlap(StrEnum):
    """What a firing does while the run that the schedule started before is still open (not yet final).

    `allow` starts another beside it, `skip` starts none, `queue` waits until it has ended, `cancel_running`
    cancels it and starts at once.
    """

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_RUNNING = "cancel_running"


@dataclass(frozen=True, slots=True)
class TriggerState:
    """A trigger as stored and shown. Times are in seconds since the epoch.

    `spec` says in words when it fires; `timetable` is that of a schedule. `mark` is the scheduled time up to
    which everything has been dealt with; `firing` one whose run is being started. `missed` counts
    firings that were left out because they came too late, `skipped` those because of an open run. `error`
    is what the last firing that started no run failed with. `source` is the file it is declared in, if known.
    """

    name: str
    kind: TriggerKind
    spec: str
    workflow: str
    mark: float
    timetable: Timetable | None = None
    source: str | None = None
    firing: float | None = None
    last_at: float | None = None
    last_run: RunId | None = None
    next_at: float | None = None
    paused: bool = False
    missed: int = 0
    skipped: int = 0
    error: ErrorRecord | None = None
    error_at: float | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event for the triggers. `payload` is UTF-8 JSON, `at` is in seconds since the epoch.

    `id` counts upwards (0 before it is stored). `trigger` names the one trigger that it is for, which somebody fires by hand;
    otherwise it is for every trigger that listens for `name`.
    """

    name: str
    payload: bytes
    at: float
    trigger: str | None = None
    id: int = 0
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Emission:
    """What is emitted: an event called `name` for the runs `to` or, with none, for the triggers that listen for it.

    `payload` is UTF-8 JSON. An event of a `dedupe` key that was emitted before is not emitted again.
    """

    name: str
    payload: bytes
    to: tuple[RunId, ...] = ()
    dedupe: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How a schedule fires. `limit` bounds how many missed firings `CatchUp.ALL` makes up for; `jitter` is in seconds."""

    timetable: Timetable
    catch_up: CatchUp = CatchUp.LATEST
    limit: int = 10
    overlap: Overlap = Overlap.ALLOW
    jitter: float = 0.0

    def due_at(self, name: str, scheduled: float) -> float:
        """Return when the firing for `scheduled` is due: delayed by up to `jitter`, the same each time it is asked.

        The delay never reaches the firing that follows.
        """
        if self.jitter <= 0:
            return scheduled
        most = min(self.jitter, self.timetable.after(scheduled) - scheduled)
        return scheduled + most * (int(digest(name, repr(scheduled))[:8], 16) / 2**32)

    def next_due(self, name: str, mark: float) -> float:
        """Return when the first firing after `mark` is due."""
        return self.due_at(name, self.timetable.after(mark))


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be fired now: scheduled times in order, and how many before them are left out as missed."""

    fire: tuple[float, ...]
    missed: int
    mark: float


def due(rules: Rules, name: str, mark: float, now: float) -> Due:
    """Return what a schedule fires at `now` when everything up to `mark` has been dealt with.

    However far the clock has moved, this is bounded: at most `rules.limit` firings.
    """
    wanted = rules.limit if rules.catch_up is CatchUp.ALL else 1
    # One more, because the latest may be put off by jitter.
    found = latest(rules.timetable, mark, now, wanted + 1)
    if found and rules.due_at(name, found[-1]) > now:
        found.pop()
    if not found:
        return Due((), 0, mark)
    fire = found[-wanted:]
    if rules.catch_up is CatchUp.SKIP and now - rules.due_at(name, fire[-1]) > ON_TIME:
        return Due((), count_between(rules.timetable, mark, found[-1], MOST_COUNTED), found[-1])
    missed = count_between(rules.timetable, mark, fire[0] - 0.5, MOST_COUNTED)
    return Due(tuple(fire), missed, found[-1])


def scheduled_run_id(trigger: str, scheduled: float) -> RunId:
    """Return the id of the run that `trigger` starts for a scheduled time: starting it twice is starting it once."""
    at = datetime.datetime.fromtimestamp(scheduled, datetime.UTC)
    return RunId(f"{trigger}@{at.isoformat().replace('+00:00', 'Z')}")


def event_run_id(trigger: str, event: int, same: bytes | None = None) -> RunId:
    """Return the id of the run that `trigger` starts for an event: by its number or, with `same`, by that value."""
    return RunId(f"{trigger}@event-{event}" if same is None else f"{trigger}@{digest(same)[:16]}")
