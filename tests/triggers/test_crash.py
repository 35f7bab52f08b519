"""A firing is exactly once, wherever the process dies between deciding on it and having confirmed it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podium import CatchUp, OnEvent, Overlap, RunState, Schedule, StorageUnavailable, sleep, workflow
from tests.triggers.support import HOUR, MINUTE, NOON, Clock, triggered


@workflow
async def report(number: int = 0) -> int:
    return number


@workflow
async def lengthy() -> None:
    await sleep(3600)


def dies(*, before: bool, firing: int = 1):
    """A `submit` that never comes back from its n-th call: nothing was started `before`, or everything was after."""
    calls = 0

    def of(app):
        async def submit(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls < firing:
                return await app.submit(*arguments)
            if not before:
                await app.submit(*arguments)
            raise StorageUnavailable("the power is gone")

        return submit

    return of


@pytest.mark.parametrize("before", [True, False], ids=["before it started", "after it started"])
async def test_a_scheduled_run_is_started_once_and_never_lost_whether_it_died(database, before):
    schedule = Schedule("t", report, every="1h")
    async with triggered(database, schedule, submit=dies(before=before)) as t:
        await t.at(NOON + HOUR)
        assert not t.firing.is_busy
        assert len(await t.runs()) == (0 if before else 1)
    # It comes back three hours later: the firing that had been decided on is not one that was missed.
    async with triggered(database, schedule, clock=Clock(NOON + 3.5 * HOUR)) as t:
        await t.look()
        assert [run.id for run in await t.runs()] == ["t@2027-01-15T13:00:00Z", "t@2027-01-15T15:00:00Z"]
        assert {run.state for run in await t.runs()} == {RunState.COMPLETED}
        state = await t.state("t")
        assert (state.missed, state.firing, state.last_run) == (1, None, "t@2027-01-15T15:00:00Z")


@pytest.mark.parametrize("before", [True, False], ids=["before it started", "after it started"])
@pytest.mark.parametrize("firing", [1, 2, 3])
async def test_catching_up_goes_on_where_it_died(database, before, firing):
    schedule = Schedule("t", report, every="1h", catch_up=CatchUp.ALL)
    async with triggered(database, schedule):
        pass
    clock = Clock(NOON + 3 * HOUR)
    async with triggered(database, schedule, clock=clock, submit=dies(before=before, firing=firing)) as t:
        await t.look()
    async with triggered(database, schedule, clock=clock) as t:
        await t.look()
        assert [run.id[13:18] for run in await t.runs()] == ["13:00", "14:00", "15:00"]
        assert (await t.state("t")).missed == 0


async def test_a_run_whose_start_was_not_confirmed_still_counts_as_the_one_before(database):
    schedule = Schedule("t", lengthy, every="1m", overlap=Overlap.SKIP)
    async with triggered(database, schedule, submit=dies(before=False)) as t:
        t.clock.now += MINUTE
        t.firing.look()
        await t.firing.quiet()
    async with triggered(database, schedule, clock=Clock(NOON + 2 * MINUTE)) as t:
        await t.firing.quiet()
        assert len(await t.runs()) == 1
        assert (await t.state("t")).skipped == 1


@pytest.mark.parametrize("before", [True, False], ids=["before it started", "after it started"])
async def test_an_event_starts_its_runs_once_whether_it_died(database, before):
    triggers = (OnEvent("paid", report, name="a"), OnEvent("paid", report, name="b"))
    async with triggered(database, *triggers, submit=dies(before=before, firing=2)) as t:
        await t.app.emit("paid", 7)
        await t.app.idle()
    async with triggered(database, *triggers) as t:
        await t.look()
        assert [(run.id, run.output) for run in await t.runs()] == [("a@event-1", b"7"), ("b@event-1", b"7")]
    async with triggered(database, *triggers) as t:
        await t.look()
        assert len(await t.runs()) == 2


async def test_a_close_in_the_middle_of_a_firing_is_made_up_for(database):
    reached = asyncio.Event()

    def hangs(app):
        async def submit(*arguments: Any) -> Any:
            reached.set()
            await asyncio.Event().wait()

        return submit

    schedule = Schedule("t", report, every="1h")
    async with triggered(database, schedule, submit=hangs) as t:
        t.clock.now += HOUR
        t.firing.look()
        await reached.wait()
    async with triggered(database, schedule, clock=Clock(NOON + HOUR + 1)) as t:
        await t.look()
        assert [run.id for run in await t.runs()] == ["t@2027-01-15T13:00:00Z"]
