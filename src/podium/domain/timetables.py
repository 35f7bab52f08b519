"""When a schedule fires: by a cron expression in a time zone, or at even intervals. Pure arithmetic over instants.

Instants are seconds since the epoch. A timetable answers one question: which instant comes next.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from podium.domain.durations import Duration, seconds
from podium.domain.errors import InvalidDefinition, InvalidInput

if TYPE_CHECKING:
    from cronsim import CronSim

_MINUTE = datetime.timedelta(minutes=1)
_APART = 0.5
"""Two instants of a timetable are further apart than this, in seconds."""
_LONGEST_INTERVAL = 366 * 86_400.0


class Timetable(Protocol):
    """The instants at which a schedule fires."""

    @property
    def zone(self) -> str:
        """The name of the time zone in which people think of it, such as `Europe/Berlin`."""
        ...

    def words(self) -> str:
        """Return it in words, for people."""
        ...

    def after(self, instant: float) -> float:
        """Return the first instant later than `instant`."""
        ...


@dataclass(frozen=True)
class Cron:
    """A cron expression of five fields (minute, hour, day of month, month, day of week), read in a time zone.

    It follows Debian's cron. When clocks are changed, an expression that names hours fires exactly once for each
    local time: one that does not exist that day fires at the moment the clocks jump, one that comes twice
    fires the first time. An expression for every hour follows the time that passes, without gap or repetition.
    Raises `InvalidDefinition` for an expression or a zone that is not understood, or that never fires.
    """

    expression: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if len(self.expression.split()) != 5:
            raise InvalidDefinition(
                f"cron={self.expression!r}: it needs five fields (minute, hour, day of month, month, day of week), "
                "e.g. '0 3 * * *' for every night at three."
            )
        # Asked for once, so that what cannot be used fails where it is declared.
        self.after(0.0)

    def words(self) -> str:
        """Return it in words, for people."""
        return f"cron {' '.join(self.expression.split())} ({self.zone})"

    def after(self, instant: float) -> float:
        """Return the first instant later than `instant`."""
        for found in self._from(instant):
            if found > instant:
                return found
        raise InvalidDefinition(f"cron={self.expression!r} never fires: there is no such day.")

    def _from(self, instant: float) -> Iterator[float]:
        now = datetime.datetime.fromtimestamp(instant, self._zone)
        if self._every_hour:
            for found in self._times(now):
                yield found.timestamp()
        else:
            for local in self._times(now.replace(tzinfo=None)):
                yield self._instant(local)

    def _instant(self, local: datetime.datetime) -> float:
        # fold=0 is the first of two; what does not exist moves on to the first moment that does.
        there = local.replace(tzinfo=self._zone)
        while there.astimezone(datetime.UTC).astimezone(self._zone).replace(tzinfo=None) != local:
            local += _MINUTE
            there = local.replace(tzinfo=self._zone)
        return there.timestamp()

    def _times(self, start: datetime.datetime) -> CronSim:
        from cronsim import CronSim, CronSimError

        try:
            return CronSim(self.expression, start)
        except CronSimError as error:
            raise InvalidDefinition(
                f"cron={self.expression!r} is not understood: {error}. See `podium triggers next --cron ...`."
            ) from None

    @cached_property
    def _every_hour(self) -> bool:
        return len(self._times(datetime.datetime(2000, 1, 1)).hours) == 24  # noqa: DTZ001 - only parsed

    @cached_property
    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.zone)
        except (ValueError, OSError, KeyError):
            raise InvalidDefinition(
                f"timezone={self.zone!r} is not known; write e.g. 'Europe/Berlin', 'America/New_York' or 'UTC'."
            ) from None


@dataclass(frozen=True, slots=True)
class Every:
    """Even intervals of `interval` seconds, counted from 1970-01-01 00:00 UTC, so that a restart shifts nothing.

    Raises `InvalidDefinition` unless the interval is from 1 second to 366 days.
    """

    interval: float

    def __post_init__(self) -> None:
        if not 1 <= self.interval <= _LONGEST_INTERVAL:
            raise InvalidDefinition(f"every={self.interval:g} s: it must be from 1 second to 366 days.")

    @classmethod
    def of(cls, duration: Duration) -> Every:
        """Return the interval that `duration` (seconds, a timedelta, or text such as `15m`) says."""
        try:
            return cls(seconds(duration))
        except InvalidInput as error:
            raise InvalidDefinition(f"every={duration!r}: {error}") from None

    @property
    def zone(self) -> str:
        """Intervals are counted in UTC."""
        return "UTC"

    def words(self) -> str:
        """Return it in words, for people."""
        for unit, name in ((86_400, "d"), (3600, "h"), (60, "m")):
            if self.interval % unit == 0:
                return f"every {self.interval // unit:g} {name}"
        return f"every {self.interval:g} s"

    def after(self, instant: float) -> float:
        """Return the first instant later than `instant`."""
        count = instant // self.interval + 1
        # A quotient may be rounded down to the very instant it began with.
        return count * self.interval if count * self.interval > instant else (count + 1) * self.interval


def upcoming(timetable: Timetable, instant: float, count: int) -> Iterator[float]:
    """Yield the next `count` instants later than `instant`."""
    for _ in range(count):
        instant = timetable.after(instant)
        yield instant


def latest(timetable: Timetable, after: float, until: float, count: int) -> list[float]:
    """Return up to `count` of the latest instants in (`after`, `until`], in order.

    The effort depends on `count` and not on how many instants lie between: each is found by halving.
    """
    found: list[float] = []
    while len(found) < count and (one := _last(timetable, after, until)) is not None:
        found.append(one)
        until = one - _APART
    return found[::-1]


def _last(timetable: Timetable, after: float, until: float) -> float | None:
    last = timetable.after(after)
    if last > until:
        return None
    # Between here and `until` there is nothing.
    empty_from = until
    while empty_from - last > _APART:
        middle = (last + empty_from) / 2
        found = timetable.after(middle)
        if found <= until:
            last = found
        else:
            empty_from = middle
    return last


def count_between(timetable: Timetable, after: float, until: float, most: int) -> int:
    """Return how many instants lie in (`after`, `until`], counting no further than `most`."""
    found = 0
    for instant in upcoming(timetable, after, most):
        if instant > until:
            break
        found += 1
    return found
