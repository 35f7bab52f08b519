"""Pausing and resuming runs."""

from __future__ import annotations

import asyncio

import pytest

from podium import (
    RunState,
    StateConflict,
    sleep,
    wait_for_event,
    workflow,
)
from tests.support.apps import app_on, until
from tests.support.world import slow, work, world


@pytest.fixture(autouse=True)
def _fresh_world():
    world.reset()


class TestPause:
    async def test_what_is_under_way_ends_and_nothing_more_begins(self, database):
        @workflow
        async def two() -> list[str]:
            return [await slow("a"), await work("b")]

        async with app_on(database, two) as app:
            run = await app.start(two, run_id="r")
            await until(lambda: world.calls == ["a"])
            await run.pause()
            await asyncio.sleep(0.05)
            assert await run.status() is RunState.RUNNING
            world.gate.set()
            await app.story.state("r", RunState.PAUSED)
            assert world.calls == ["a"]
            assert app.in_memory == set()
            await run.resume()
            assert await run.result() == ["A", "B"]
            assert await app.inbox_is_empty()

    async def test_a_paused_run_does_not_wake_for_timers_events_or_restarts(self, database):
        @workflow
        async def waits() -> str:
            await sleep(0.05)
            return await wait_for_event("go", str)

        async with app_on(database, waits, linger=0.001) as app:
            run = await app.start(waits, run_id="r")
            await app.story.state("r", RunState.WAITING)
            await run.pause()
            await app.story.state("r", RunState.PAUSED)
            await run.send_event("go", "on")
        async with app_on(database, waits) as app:
            await asyncio.sleep(0.1)
            run = await app.get("r")
            assert await run.status() is RunState.PAUSED
            await run.resume()
            assert await run.result() == "on"

    async def test_a_pending_run_is_paused_before_it_begins(self, database):
        @workflow
        async def one(name: str) -> str:
            return await slow(name)

        async with app_on(database, one, max_active_runs=1) as app:
            first = await app.start(one, "a", run_id="first")
            second = await app.start(one, "b", run_id="second")
            await until(lambda: world.calls == ["a"])
            await second.pause()
            await app.story.state("second", RunState.PAUSED)
            world.gate.set()
            await first.result()
            await app.idle()
            assert world.calls == ["a"]
            await second.resume()
            assert await second.result() == "B"

    async def test_a_pause_can_be_taken_back_before_it_takes_effect(self, database):
        @workflow
        async def two() -> list[str]:
            return [await slow("a"), await work("b")]

        async with app_on(database, two) as app:
            run = await app.start(two, run_id="r")
            await until(lambda: world.calls == ["a"])
            await run.pause()
            await run.resume()
            await until(app.inbox_is_empty)
            world.gate.set()
            assert await run.result() == ["A", "B"]
            assert RunState.PAUSED not in app.story.moves("r")

    async def test_a_paused_run_is_cancelled_with_its_clean_up(self, database):
        @workflow
        async def cleans() -> None:
            try:
                await wait_for_event("never")
            finally:
                await work("clean-up")

        async with app_on(database, cleans) as app:
            run = await app.start(cleans, run_id="r")
            await app.story.state("r", RunState.WAITING)
            await run.pause()
            await app.story.state("r", RunState.PAUSED)
            await run.cancel()
            await app.story.state("r", RunState.CANCELLED)
            assert world.calls == ["clean-up"]

    async def test_an_ended_run_cannot_be_paused_and_a_running_one_not_retried(self, database):
        @workflow
        async def one() -> None:
            await slow("a")

        async with app_on(database, one) as app:
            run = await app.start(one)
            with pytest.raises(StateConflict, match="cannot be retried"):
                await run.retry()
            world.gate.set()
            await run.result()
            for control in (run.pause, run.resume, run.retry, run.cancel):
                with pytest.raises(StateConflict, match="completed"):
                    await control()
