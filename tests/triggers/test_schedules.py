"""Schedules start runs: once each, caught up or left out, beside, after or in place of one another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from podium import (
    CatchUp,
    InvalidDefinition,
    InvalidInput,
    OnEvent,
    Overlap,
    Podium,
    RunState,
    Schedule,
    sleep,
    workflow,
)
from podium.domain.triggers import TriggerKind
from tests.triggers.support import DAY, HOUR, MINUTE, NOON, Clock, triggered, until


@workflow
async def report(kind: str = "short", pages: int = 1) -> str:
    return f"{kind}: {pages}"


@workflow
async def lengthy() -> None:
    await sleep(3600)


async def test_a_schedule_starts_a_run_at_each_of_its_times_with_its_input(database):
    nightly = Schedule("hourly", report, cron="0 * * * *", input={"kind": "long", "pages": 3})
    async with triggered(database, nightly) as t:
        await t.at(NOON + 59 * MINUTE)
        assert await t.runs() == []
        await t.at(NOON + HOUR)
        await t.at(NOON + HOUR + 1)
        await t.at(NOON + 2 * HOUR)
        first, second = await t.runs()
        assert (first.id, second.id) == ("hourly@2027-01-15T13:00:00Z", "hourly@2027-01-15T14:00:00Z")
        assert (first.trigger, first.workflow, first.output) == ("hourly", "report", b'"long: 3"')
        assert await (await t.app.get(first.id)).result() == "long: 3"


async def test_its_state_says_when_it_fired_and_when_it_will(database):
    async with triggered(database, Schedule("hourly", report, every="1h"), source="jobs.py") as t:
        state = await t.state("hourly")
        assert (state.kind, state.spec, state.workflow) == (TriggerKind.SCHEDULE, "every 1 h", "report")
        assert (state.last_at, state.next_at, state.source) == (None, NOON + HOUR, "jobs.py")
        await t.at(NOON + HOUR + 2)
        state = await t.state("hourly")
        assert (state.last_at, state.next_at) == (NOON + HOUR + 2, NOON + 2 * HOUR)
        assert state.last_run == "hourly@2027-01-15T13:00:00Z"


async def test_the_local_time_of_a_zone_is_fired_at(database):
    zones = [
        Schedule("berlin", report, cron="0 14 * * *", timezone="Europe/Berlin"),
        Schedule("tokyo", report, cron="0 22 * * *", timezone="Asia/Tokyo"),
    ]
    async with triggered(database, *zones) as t:
        await t.at(NOON + HOUR)
        assert [run.id for run in await t.runs()] == [
            "berlin@2027-01-15T13:00:00Z",
            "tokyo@2027-01-15T13:00:00Z",
        ]


@pytest.mark.parametrize(
    ("catch_up", "hours", "missed"),
    [(CatchUp.LATEST, [20], 7), (CatchUp.ALL, [18, 19, 20], 5), (CatchUp.SKIP, [], 8)],
)
async def test_what_was_missed_while_no_process_worked_is_made_up_for_within_bounds_and_counted(
    database, catch_up, hours, missed
):
    hourly = Schedule("hourly", report, every="1h", catch_up=catch_up, catch_up_limit=3)
    async with triggered(database, hourly):
        pass
    async with triggered(database, hourly, clock=Clock(NOON + 8.5 * HOUR)) as t:
        await t.look()
        assert [run.id for run in await t.runs()] == [f"hourly@2027-01-15T{hour}:00:00Z" for hour in hours]
        assert (await t.state("hourly")).missed == missed
        assert (await t.state("hourly")).next_at == NOON + 9 * HOUR


async def test_a_schedule_that_is_new_has_missed_nothing(database):
    async with triggered(database, Schedule("daily", report, every="1d", catch_up=CatchUp.ALL)) as t:
        await t.look()
        assert await t.runs() == []


async def test_a_schedule_whose_times_have_changed_has_missed_none_of_the_new_ones(database):
    async with triggered(database, Schedule("t", report, every="1d")):
        pass
    changed = Schedule("t", report, every="1m", catch_up=CatchUp.ALL, catch_up_limit=100)
    async with triggered(database, changed, clock=Clock(NOON + HOUR)) as t:
        await t.look()
        assert await t.runs() == []
        assert (await t.state("t")).spec == "every 1 m"
        await t.after(MINUTE)
        assert len(await t.runs()) == 1


async def test_a_clock_that_is_set_back_fires_nothing_again(database):
    async with triggered(database, Schedule("hourly", report, every="1h")) as t:
        for now in (NOON + HOUR, NOON + 10 * MINUTE, NOON + HOUR, NOON + HOUR + 1):
            await t.at(now)
        assert len(await t.runs()) == 1
        await t.at(NOON + 2 * HOUR)
        assert len(await t.runs()) == 2


async def test_a_clock_that_is_a_year_ahead_for_a_while_fires_once_and_silences_nothing_when_put_right(
    database,
):
    async with triggered(database, Schedule("minutely", report, every="1m")) as t:
        await t.at(NOON + 365 * DAY)
        assert len(await t.runs()) == 1
        assert (await t.state("minutely")).missed == 1000
        await t.at(NOON + 1)
        assert len(await t.runs()) == 1
        await t.at(NOON + MINUTE)
        assert [run.id for run in await t.runs()] == [
            "minutely@2027-01-15T12:01:00Z",
            "minutely@2028-01-15T12:00:00Z",
        ]


async def test_runs_may_overlap_unless_told_otherwise(database):
    async with triggered(database, Schedule("t", lengthy, every="1m")) as t:
        for _ in range(3):
            t.clock.now += MINUTE
            t.firing.look()
            await t.firing.quiet()
        assert [run.state for run in await t.runs()] == [RunState.WAITING] * 3


async def test_a_firing_is_skipped_while_the_run_before_is_open(database):
    async with triggered(database, Schedule("t", lengthy, every="1m", overlap=Overlap.SKIP)) as t:
        await fires(t, 3)
        (run,) = await t.runs()
        assert (await t.state("t")).skipped == 2
        await (await t.app.get(run.id)).cancel()
        await t.app.story.state(run.id, RunState.CANCELLED)
        await fires(t, 1)
        assert len(await t.runs()) == 2
        assert (await t.state("t")).skipped == 2


async def test_a_firing_waits_until_the_run_before_has_ended(database):
    async with triggered(database, Schedule("t", lengthy, every="1m", overlap=Overlap.QUEUE)) as t:
        await fires(t, 2)
        (first,) = await t.runs()
        await (await t.app.get(first.id)).cancel()
        # Nobody tells the trigger: it sees for itself.
        await until(lambda: has_runs(t, 2))
        assert (await t.runs())[1].id == "t@2027-01-15T12:02:00Z"
        assert (await t.state("t")).skipped == 0


async def test_all_firings_that_waited_come_one_after_the_other(database):
    every = Schedule("t", lengthy, every="1m", overlap=Overlap.QUEUE, catch_up=CatchUp.ALL)
    async with triggered(database, every) as t:
        await fires(t, 3)
        for count in (1, 2, 3):
            await until(partial(has_runs, t, count))
            last = (await t.runs())[-1]
            await t.app.story.state(last.id, RunState.WAITING)
            await (await t.app.get(last.id)).cancel()
        assert [run.id for run in await t.runs()] == [
            f"t@2027-01-15T12:0{minute}:00Z" for minute in (1, 2, 3)
        ]


async def test_a_firing_may_cancel_the_run_before(database):
    async with triggered(database, Schedule("t", lengthy, every="1m", overlap=Overlap.CANCEL_RUNNING)) as t:
        await fires(t, 2)
        first, second = await t.runs()
        await t.app.story.state(first.id, RunState.CANCELLED)
        await t.app.story.state(second.id, RunState.WAITING)


async def fires(t, times: int) -> None:
    """Move the clock on by minutes; unlike `t.after` without waiting for the runs, which sleep for an hour."""
    for _ in range(times):
        t.clock.now += MINUTE
        t.firing.look()
        await t.firing.quiet()


async def has_runs(t, count: int) -> bool:
    return len(await t.runs()) >= count


async def test_jitter_puts_a_firing_off_but_not_its_name(database):
    schedule = Schedule("spread", report, every="1h", jitter=1800)
    due = schedule.rules.due_at("spread", NOON + HOUR)
    assert NOON + HOUR < due < NOON + 1.5 * HOUR
    async with triggered(database, schedule) as t:
        assert (await t.state("spread")).next_at == due
        await t.at(due - 1)
        assert await t.runs() == []
        await t.at(due)
        assert [run.id for run in await t.runs()] == ["spread@2027-01-15T13:00:00Z"]


async def test_a_paused_schedule_fires_nothing_and_makes_up_for_nothing(database):
    schedule = Schedule("t", report, every="1h", catch_up=CatchUp.ALL)
    async with triggered(database, schedule) as t:
        assert (await t.triggers.pause("t")).paused
        await t.at(NOON + 3 * HOUR)
        assert await t.runs() == []
    async with triggered(database, schedule, clock=Clock(NOON + 4 * HOUR)) as t:
        await t.look()
        assert await t.runs() == []


async def test_a_resumed_schedule_goes_on_from_now(database):
    async with triggered(database, Schedule("t", report, every="1h", catch_up=CatchUp.ALL)) as t:
        await t.triggers.pause("t")
        await t.at(NOON + 3.5 * HOUR)
        assert not (await t.triggers.resume("t")).paused
        await t.look()
        assert await t.runs() == []
        await t.at(NOON + 4 * HOUR)
        assert [run.id for run in await t.runs()] == ["t@2027-01-15T16:00:00Z"]
        assert (await t.state("t")).missed == 0


async def test_one_that_cannot_start_its_run_is_recorded_and_the_others_fire(database):
    both = (Schedule("bad", report, every="1m"), Schedule("good", report, every="1m"))
    async with triggered(database, *both, workflows=[lengthy]) as t:
        # Its id is taken by a run of another workflow.
        await t.app.start(report, run_id="good@2027-01-15T12:02:00Z")
        await t.app.start(lengthy, run_id="bad@2027-01-15T12:01:00Z")
        await fires(t, 1)
        bad, good = await t.state("bad"), await t.state("good")
        assert bad.error is not None
        assert (bad.error.type, bad.error_at, bad.last_run) == ("StateConflict", NOON + MINUTE, None)
        assert good.error is None
        assert good.last_run == "good@2027-01-15T12:01:00Z"
        await fires(t, 1)
        assert (await t.state("bad")).error is None
        assert (await t.state("bad")).last_run == "bad@2027-01-15T12:02:00Z"


class Broken:
    """A timetable with a fault that shows at one."""

    zone = "UTC"

    def words(self) -> str:
        return "now and then"

    def after(self, instant: float) -> float:
        if instant >= NOON + HOUR:
            raise OverflowError("date value out of range")
        return NOON + HOUR


async def test_a_fault_in_one_trigger_is_recorded_and_keeps_no_other_from_firing(database):
    faulty = Schedule("faulty", report, every="1h")
    faulty.rules = replace(faulty.rules, timetable=Broken())
    async with triggered(database, faulty, Schedule("good", report, every="1h"), OnEvent("e", report)) as t:
        await t.at(NOON + HOUR)
        await t.app.emit("e", {"kind": "event", "pages": 2})
        await t.at(NOON + 2 * HOUR)
        error = (await t.state("faulty")).error
        assert error is not None
        assert error.type == "OverflowError"
        names = [run.id for run in await t.runs()]
        assert [name for name in names if not name.startswith("faulty")] == [
            "e:report@event-1",
            "good@2027-01-15T13:00:00Z",
            "good@2027-01-15T14:00:00Z",
        ]


async def test_triggers_that_a_file_no_longer_declares_are_forgotten_and_those_of_others_are_not(database):
    async with triggered(database, Schedule("a", report, every="1h"), source="a.py"):
        pass
    async with triggered(database, Schedule("b", report, every="1h"), source="b.py") as t:
        assert [state.name for state in await t.triggers.list()] == ["a", "b"]
    async with triggered(database, Schedule("c", report, every="1h"), source="a.py") as t:
        assert [state.name for state in await t.triggers.list()] == ["b", "c"]


async def test_an_app_fires_its_triggers_while_it_is_open_and_needs_their_workflows_only_once(database):
    async with Podium(database, triggers=[Schedule("t", report, every=timedelta(seconds=1))]) as app:
        await until(lambda: _completed(app))
    async with Podium(database, workflows=[report]) as app:
        before = await app.list()
        assert before[0].trigger == "t"


async def _completed(app: Podium) -> bool:
    return bool(await app.list(states=[RunState.COMPLETED]))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "either cron= or every="),
        ({"cron": "0 3 * * *", "every": "1h"}, "either cron= or every="),
        ({"cron": "0 3 * *"}, "five fields"),
        ({"every": "1h", "timezone": "Europe/Berlin"}, "goes with cron="),
        ({"every": "1h", "catch_up": CatchUp.SKIP, "overlap": Overlap.QUEUE}, "choose one"),
        ({"every": "1h", "catch_up_limit": 0}, "catch_up_limit"),
        ({"every": "1h", "jitter": -1}, "jitter"),
    ],
)
def test_a_contradiction_is_refused_where_it_is_declared(options, told):
    with pytest.raises(InvalidDefinition, match=told):
        Schedule("t", report, **options)


def test_what_cannot_be_started_is_refused_before_anything_is():
    refused: list[tuple[list[Any], str]] = [
        ([Schedule("t", report, every="1h", input={"nope": 1})], "arguments that it does not take"),
        ([Schedule("t", report, every="1h"), Schedule("t", report, every="2h")], "two triggers"),
        ([report], "is no trigger"),
    ]
    for triggers, told in refused:
        with pytest.raises(InvalidInput, match=told):
            Podium("never-made.db", triggers=triggers)
    with pytest.raises(InvalidDefinition, match="is no workflow"):
        Schedule("t", print, every="1h")  # type: ignore[arg-type]
