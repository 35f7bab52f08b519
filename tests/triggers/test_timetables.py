"""When schedules fire: cron expressions in time zones, clocks that are changed, even intervals."""

from __future__ import annotations

import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import InvalidDefinition
from podium.domain.timetables import Cron, Every, count_between, latest, upcoming

DAY = 86_400.0
BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    """The instant of an ISO time; in UTC unless it says otherwise."""
    time = datetime.datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()


def utc(instants) -> list[str]:
    return [f"{datetime.datetime.fromtimestamp(instant, datetime.UTC):%m-%d %H:%M}" for instant in instants]


def nexts(expression: str, zone: str, start: str, count: int) -> list[str]:
    return utc(upcoming(Cron(expression, zone), at(start), count))


def test_a_local_time_keeps_its_place_on_the_wall_when_clocks_change():
    assert nexts("0 9 * * *", BERLIN, "2026-03-27", 3) == ["03-27 08:00", "03-28 08:00", "03-29 07:00"]


def test_a_local_time_that_does_not_exist_fires_once_at_the_moment_the_clocks_jump():
    assert nexts("30 2 * * *", BERLIN, "2026-03-28", 3) == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]


def test_several_local_times_that_do_not_exist_are_one_firing():
    assert nexts("*/15 2 * * *", BERLIN, "2026-03-28T23:00", 2) == ["03-29 01:00", "03-30 00:00"]


def test_a_local_time_that_exists_twice_fires_the_first_time_only():
    assert nexts("30 2 * * *", BERLIN, "2026-10-24T12:00", 2) == ["10-25 00:30", "10-26 01:30"]
    assert nexts("*/30 2 * * *", BERLIN, "2026-10-24T12:00", 3) == [
        "10-25 00:00",
        "10-25 00:30",
        "10-26 01:00",
    ]


def test_every_hour_stays_every_hour_when_clocks_change():
    for start in ("2026-03-28T20:00", "2026-10-24T20:00"):
        hours = list(upcoming(Cron("5 * * * *", BERLIN), at(start), 12))
        assert {later - earlier for earlier, later in pairwise(hours)} == {3600.0}


def test_days_of_month_and_week_are_those_of_the_zone():
    assert nexts("0 0 1 * *", "Asia/Tokyo", "2026-01-15", 2) == ["01-31 15:00", "02-28 15:00"]
    assert nexts("30 8 * * MON", "America/New_York", "2026-06-05", 2) == ["06-08 12:30", "06-15 12:30"]


def test_a_midnight_that_does_not_exist_fires_when_the_day_begins():
    # In Beirut the clocks jump at midnight.
    assert nexts("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00", 1) == ["03-28 22:00"]


def test_a_leap_day_is_waited_for():
    leap = next(upcoming(Cron("0 0 29 2 *"), at("2026-01-01"), 1))
    assert datetime.datetime.fromtimestamp(leap, datetime.UTC).year == 2028


@pytest.mark.parametrize(
    ("expression", "zone", "told"),
    [
        ("0 3 * *", "UTC", "five fields"),
        ("0 0 3 * * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "Bad minute"),
        ("* * * * *; rm", "UTC", "five fields"),
        ("0 0 31 2 *", "UTC", "Bad day-of-month"),
        ("0 3 * * *", "Mars/Olympus", "Mars/Olympus"),
        ("0 3 * * *", "../../etc/passwd", "not known"),
        ("0 3 * * *", "", "not known"),
    ],
)
def test_what_is_not_understood_is_refused_where_it_is_declared(expression: str, zone: str, told: str):
    with pytest.raises(InvalidDefinition, match=told):
        Cron(expression, zone)


_field = {
    "minute": st.sampled_from(["0", "30", "*/15", "5,35", "59", "*"]),
    "hour": st.sampled_from(["*", "0", "1", "2", "3", "1-3", "*/2", "23", "0,2,3"]),
    "day": st.sampled_from(["*", "1", "15", "25-31"]),
    "week": st.sampled_from(["*", "SUN", "MON-FRI"]),
}
_crons = st.builds(
    lambda minute, hour, day, week: f"{minute} {hour} {day} * {week}",
    _field["minute"], _field["hour"], _field["day"], _field["week"],
)  # fmt: skip
_zones = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"}))
_instants = st.floats(at("2000-01-01"), at("2037-01-01"))


@given(_crons, _zones, _instants)
def test_firings_only_ever_go_forward_and_do_not_depend_on_where_one_starts(expression, zone, start):
    cron = Cron(expression, zone)
    firings = list(upcoming(cron, start, 12))
    assert firings == sorted(set(firings))
    assert firings[0] > start
    # Asked from anywhere before a firing and after the one before, the answer is that firing.
    for earlier, later in pairwise(firings):
        assert cron.after((earlier + later) / 2) == later
        assert cron.after(later - 0.25) == later


@given(_zones, _instants, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
def test_a_time_of_day_fires_exactly_once_on_every_local_day(zone, start, hour, minute):
    firings = list(upcoming(Cron(f"{minute} {hour} * * *", zone), start, 400))
    days = [datetime.datetime.fromtimestamp(firing, ZoneInfo(zone)).date() for firing in firings]
    skipped = [later for earlier, later in pairwise(days) if (later - earlier).days != 1]
    # Days that an island skipped when it crossed the date line were no days.
    assert len(set(days)) == len(days)
    assert all(_is_missing(day - datetime.timedelta(days=1), zone) for day in skipped)


def _is_missing(day: datetime.date, zone: str) -> bool:
    noon = datetime.datetime.combine(day, datetime.time(12), ZoneInfo(zone))
    return noon.astimezone(datetime.UTC).astimezone(ZoneInfo(zone)).date() != day


@given(_zones, _instants, st.sampled_from([0, 30]), st.integers(0, 23))
def test_a_firing_is_at_its_local_time_whenever_that_exists(zone, start, minute, hour):
    for firing in upcoming(Cron(f"{minute} {hour} * * *", zone), start, 60):
        local = datetime.datetime.fromtimestamp(firing, ZoneInfo(zone))
        wanted = local.replace(hour=hour, minute=minute, second=0, fold=0)
        if wanted.astimezone(datetime.UTC).astimezone(ZoneInfo(zone)).replace(fold=0) == wanted:
            assert (local.hour, local.minute, local.second, local.fold) == (hour, minute, 0, 0)


@given(_crons, _zones, _instants, st.floats(0, 3 * DAY), st.integers(1, 5))
def test_the_latest_firings_of_a_span_are_the_last_of_all_of_them(expression, zone, start, span, count):
    cron = Cron(expression, zone)
    everything = []
    for firing in upcoming(cron, start, 4 * 24 * 60):
        if firing > start + span:
            break
        everything.append(firing)
    assert latest(cron, start, start + span, count) == everything[-count:]
    assert count_between(cron, start, start + span, 50) == min(len(everything), 50)


@given(st.floats(1, 40 * DAY), _instants)
def test_intervals_are_even_and_never_stand_still(interval, start):
    every = Every(interval)
    first, second = upcoming(every, start, 2)
    assert start < first <= start + interval * 1.001
    assert second - first == pytest.approx(interval, rel=1e-6, abs=1e-3)


def test_intervals_are_counted_from_the_epoch_and_said_in_words():
    assert utc(upcoming(Every.of("15m"), at("2026-05-01T10:07"), 2)) == ["05-01 10:15", "05-01 10:30"]
    assert [Every.of(text).words() for text in ("15m", "2h", "1d", "90s")] == [
        "every 15 m", "every 2 h", "every 1 d", "every 90 s",
    ]  # fmt: skip
    for wrong in ("0s", "soon", "1000d", -5, 0.2):
        with pytest.raises(InvalidDefinition, match="every="):
            Every.of(wrong)
