"""What is fired now: on time, late, after a night without power, and when somebody sets the clock."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from podium import CatchUp
from podium.domain.timetables import Cron, Every
from podium.domain.triggers import MOST_COUNTED, ON_TIME, Rules, due, scheduled_run_id

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
START = 1_800_000_000.0 // DAY * DAY
HOURLY = Every(HOUR)


def test_a_firing_on_time_is_fired_and_nothing_is_missed():
    for catch_up in CatchUp:
        plan = due(Rules(HOURLY, catch_up), "t", START, START + HOUR + 0.01)
        assert (plan.fire, plan.missed, plan.mark) == ((START + HOUR,), 0, START + HOUR)


def test_before_its_time_nothing_is_fired():
    assert due(Rules(HOURLY), "t", START, START + HOUR - 0.01).fire == ()


def test_after_a_night_without_power_the_latest_all_or_none_are_made_up_for():
    morning = START + 8.5 * HOUR
    latest = due(Rules(HOURLY, CatchUp.LATEST), "t", START, morning)
    everything = due(Rules(HOURLY, CatchUp.ALL, 100), "t", START, morning)
    some = due(Rules(HOURLY, CatchUp.ALL, 3), "t", START, morning)
    none = due(Rules(HOURLY, CatchUp.SKIP), "t", START, morning)
    assert (latest.fire, latest.missed) == ((START + 8 * HOUR,), 7)
    assert everything.fire == tuple(START + hour * HOUR for hour in range(1, 9))
    assert everything.missed == 0
    assert (some.fire, some.missed) == (tuple(START + hour * HOUR for hour in (6, 7, 8)), 5)
    assert (none.fire, none.missed) == ((), 8)
    assert {plan.mark for plan in (latest, everything, some, none)} == {START + 8 * HOUR}


def test_a_short_restart_over_the_time_is_no_miss_even_where_misses_are_skipped():
    rules = Rules(HOURLY, CatchUp.SKIP)
    assert due(rules, "t", START, START + HOUR + ON_TIME - 1).fire == (START + HOUR,)
    assert due(rules, "t", START, START + HOUR + ON_TIME + 1).fire == ()


def test_a_clock_that_jumps_a_year_fires_no_more_than_the_limit_and_takes_no_time():
    began = time.thread_time()
    for timetable in (
        Every(1),
        Cron("* * * * *", "Europe/Berlin"),
        Cron("*/5 0-22 * * *", "America/New_York"),
    ):
        assert len(due(Rules(timetable, CatchUp.LATEST), "t", START, START + YEAR).fire) == 1
        plan = due(Rules(timetable, CatchUp.ALL, 10), "t", START, START + YEAR)
        assert len(plan.fire) == 10
        assert plan.missed == MOST_COUNTED
        assert START + YEAR - plan.mark <= 2 * HOUR
    assert time.thread_time() - began < 5


def test_a_clock_that_is_set_back_fires_nothing_again():
    fired = due(Rules(HOURLY), "t", START, START + HOUR)
    assert due(Rules(HOURLY), "t", fired.mark, START + HOUR / 2).fire == ()
    assert due(Rules(HOURLY), "t", fired.mark, START + HOUR + 1).fire == ()


@given(
    st.lists(st.floats(-3 * HOUR, 30 * HOUR), min_size=1, max_size=20),
    st.sampled_from(list(CatchUp)),
    st.integers(1, 5),
    st.sampled_from([0.0, 300.0, 5 * HOUR]),
)
def test_however_the_clock_moves_no_time_is_fired_twice_and_none_is_lost_uncounted(
    moves, catch_up, limit, jitter
):
    rules = Rules(Every(HOUR), catch_up, limit, jitter=jitter)
    mark, now, highest = START, START, START
    fired: list[float] = []
    missed = 0
    for move in moves:
        now += move
        plan = due(rules, "t", mark, now)
        fired += plan.fire
        missed += plan.missed
        mark = plan.mark
        highest = max(highest, now)
        assert len(plan.fire) <= limit
        assert all(rules.due_at("t", scheduled) <= now for scheduled in plan.fire)
    assert fired == sorted(set(fired))
    assert len(fired) + missed == (mark - START) // HOUR
    # At most the latest is still to come, put off by jitter.
    assert highest - mark < 2 * HOUR


def test_jitter_spreads_firings_always_in_the_same_way_and_never_past_the_next():
    rules = Rules(Every(60), jitter=3600.0)
    times = [START + minute * 60 for minute in range(200)]
    delays = [rules.due_at("t", scheduled) - scheduled for scheduled in times]
    assert delays == [rules.due_at("t", scheduled) - scheduled for scheduled in times]
    assert all(0 <= delay < 60 for delay in delays)
    assert max(delays) > 50
    assert min(delays) < 10
    assert rules.due_at("another", START) != rules.due_at("t", START)


def test_the_id_of_a_run_says_trigger_and_time():
    assert scheduled_run_id("nightly", START) == "nightly@2027-01-15T00:00:00Z"
    assert scheduled_run_id("often", START + 0.5) != scheduled_run_id("often", START)
