"""What was accepted reaches the code once, whatever the run does at that moment: fail, go on as new, be retried."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3

import pytest

from podium import (
    DecisionVerdict,
    RunState,
    ask_human,
    continue_as_new,
    gather,
    spawn,
    wait_for_event,
    workflow,
)
from tests.support.apps import app_on, until
from tests.support.world import slow, work, world


@pytest.fixture(autouse=True)
def _fresh_world():
    world.reset()


class TestGoingOnAsNew:
    async def test_events_that_race_with_timeouts_are_each_given_once_and_in_order(self, database):
        @workflow
        async def listens(got: list[int]) -> list[int]:
            with contextlib.suppress(TimeoutError):
                got = [*got, await wait_for_event("number", int, timeout=0.01)]
            if got[-1:] != [99]:
                continue_as_new(got)
            return got

        pauses = random.Random(7)
        async with app_on(database, listens) as app:
            run = await app.start(listens, [])
            for number in range(100):
                await run.send_event("number", number)
                await asyncio.sleep(pauses.random() * 0.02)
            assert await run.result(timeout=20) == list(range(100))

    async def test_a_cancellation_that_comes_with_the_last_event_of_a_generation_is_heard(self, database):
        @workflow
        async def listens(generation: int = 0) -> None:
            await wait_for_event("next")
            continue_as_new(generation + 1)

        async with app_on(database, listens) as app:
            run = await app.start(listens, run_id="r")
            await app.idle()
            await app.runs.send_event("r", "next")
            await app.runs.cancel("r")
            app.look()
            await app.story.state("r", RunState.CANCELLED)
            assert await run.status() is RunState.CANCELLED

    async def test_a_pause_holds_the_next_generation(self, database):
        @workflow
        async def works(generation: int = 0) -> str:
            if generation == 0:
                await slow("a")
                continue_as_new(1)
            return await work("b")

        async with app_on(database, works) as app:
            run = await app.start(works, run_id="r")
            await until(lambda: world.calls == ["a"])
            await run.pause()
            await until(lambda: [active for active in app._engine._active.values() if active._pausing])
            world.gate.set()
            await app.story.state("r", RunState.PAUSED)
            assert (await app.runs.get("r")).generation == 1
            assert world.calls == ["a"]
            await run.resume()
            assert await run.result() == "B"
            assert await app.inbox_is_empty()


class TestRetrying:
    async def test_an_event_that_came_before_the_failure_is_there_after_a_restart(self, database):
        @workflow
        async def listens() -> str:
            await work("a")
            return await wait_for_event("word", str)

        world.broken = {"a"}
        async with app_on(database, listens) as app:
            run = await app.start(listens, run_id="r")
            assert await run.send_event("word", "hello", dedupe="1")
            await app.idle()
        world.broken = set()
        async with app_on(database, listens) as app:
            await app.idle()
            run = await app.get("r")
            await run.retry()
            assert await run.result(timeout=10) == "hello"

    async def test_a_run_that_only_waits_when_it_is_retried_leaves_memory(self, database):
        @workflow
        async def listens() -> str:
            if world.broken:
                raise ValueError("broken")
            return await wait_for_event("word", str)

        world.broken = {"a"}
        async with app_on(database, listens) as app:
            run = await app.start(listens, run_id="r")
            await app.idle()
            world.broken = set()
            await run.retry()
            await app.story.state("r", RunState.WAITING)
            await app.idle()
            assert not app.in_memory
            await run.send_event("word", "hello")
            assert await run.result() == "hello"

    async def test_a_child_that_was_cancelled_by_the_failure_has_another_in_its_place(self, database):
        @workflow
        async def child() -> str:
            return await wait_for_event("word", str)

        @workflow
        async def parent() -> tuple[str, str]:
            first, second = await gather(child(), work("a"))
            return first, second

        world.broken = {"a"}
        async with app_on(database, parent, child) as app:
            run = await app.start(parent, run_id="r")
            for times in (1, 2, 3):
                await app.idle()
                assert (await run.status(), await app.runs.count("state:cancelled")) == (
                    RunState.FAILED,
                    times,
                )
                world.broken = world.broken if times < 3 else set()
                await run.retry()
                await until(lambda: app.story.moves("r").count(RunState.RUNNING) > times)  # noqa: B023
            await app.idle()
            (present,) = await app.list("state:waiting workflow:child")
            (shown,) = [each for each in (await app.timeline("r")).operations if each.state == "open"]
            assert shown.child == present.id
            await app.send_event(present.id, "word", "hello")
            assert await run.result(timeout=10) == ("hello", "A")
            children = [each.child for each in (await app.timeline("r")).operations if each.child]
            assert children == [present.id]

    async def test_the_late_end_of_a_cancelled_child_is_not_that_of_the_other(self, database):
        @workflow
        async def child() -> str:
            try:
                return await wait_for_event("word", str)
            finally:
                await slow("clean up")

        @workflow
        async def parent() -> tuple[str, str]:
            first, second = await gather(child(), work("a"))
            return first, second

        world.broken = {"a"}
        async with app_on(database, parent, child) as app:
            run = await app.start(parent, run_id="r")
            await app.story.state("r", RunState.FAILED)
            await until(lambda: "clean up" in world.calls)
            world.broken = set()
            await run.retry()
            await until(lambda: app.runs.count("state:waiting workflow:child"))
            world.gate.set()
            await until(lambda: app.runs.count("state:cancelled"))
            await app.idle()
            (present,) = await app.list("state:waiting workflow:child")
            await app.send_event(present.id, "word", "hello")
            assert await run.result(timeout=10) == ("hello", "A")

    async def test_a_review_that_was_closed_by_the_failure_is_opened_again(self, database):
        @workflow
        async def asks() -> tuple[DecisionVerdict, str]:
            decision, done = await gather(ask_human("May it go?"), work("a"))
            return decision.verdict, done

        world.broken = {"a"}
        async with app_on(database, asks) as app:
            run = await app.start(asks, run_id="r")
            await app.idle()
            assert await app.reviews.list() == []
            world.broken = set()
            await run.retry()
            await app.story.state("r", RunState.WAITING)
            (review,) = await app.reviews.list()
            await app.reviews.decide(review.id, DecisionVerdict.REJECT, comment="not yet", reviewer="ada")
            app.look()
            assert await run.result(timeout=10) == (DecisionVerdict.REJECT, "A")

    async def test_a_child_that_was_retried_by_itself_gives_its_result_to_the_retried_parent(self, database):
        @workflow
        async def child() -> str:
            return await work("a")

        @workflow
        async def parent() -> str:
            return await child()

        world.broken = {"a"}
        async with app_on(database, parent, child) as app:
            run = await app.start(parent, run_id="r")
            await app.idle()
            world.broken = set()
            (failed,) = await app.list("workflow:child")
            await (await app.get(failed.id)).retry()
            await app.story.state(failed.id, RunState.COMPLETED)
            await app.idle()
            await run.retry()
            assert await run.result(timeout=10) == "A"
            assert world.calls == ["a", "a"]

    async def test_a_child_that_went_on_beside_gives_its_result_to_the_retried_parent(self, database):
        @workflow
        async def child() -> str:
            return await slow("child")

        @workflow
        async def parent() -> str:
            beside = await spawn(child, on_parent_end="abandon")
            await work("a")
            return await beside.result()

        world.broken = {"a"}
        async with app_on(database, parent, child) as app:
            run = await app.start(parent, run_id="r")
            await app.story.state("r", RunState.FAILED)
            world.gate.set()
            await app.idle()
            world.broken = set()
            await run.retry()
            assert await run.result(timeout=10) == "CHILD"
            assert world.calls.count("child") == 1

    async def test_a_child_that_completed_because_of_the_failure_has_another_in_its_place(self, database):
        @workflow
        async def child() -> str:
            return await work("told")

        @workflow
        async def parent() -> str:
            try:
                return await work("a")
            except Exception:
                await child()
                raise

        world.broken = {"a"}
        async with app_on(database, parent, child) as app:
            run = await app.start(parent, run_id="r")
            for times in (1, 2):
                await until(lambda: app.story.moves("r").count(RunState.FAILED) == times)  # noqa: B023
                await app.idle()
                assert world.calls.count("told") == times
                if times == 1:
                    await run.retry()


async def test_a_journal_that_cannot_be_read_blocks_its_run_alone(database):
    @workflow
    async def listens() -> str:
        await work("a")
        return await wait_for_event("word", str)

    async with app_on(database, listens) as app:
        await app.start(listens, run_id="damaged")
        await app.start(listens, run_id="whole")
        await app.idle()
    damaged = sqlite3.connect(database)
    damaged.execute(
        "UPDATE journal SET type = 'retry', payload = x'7b7d' WHERE run_number = "
        "(SELECT number FROM runs WHERE id = 'damaged')"
    )
    damaged.commit()
    damaged.close()
    async with app_on(database, listens, unreplayed="its journal is damaged") as app:
        for run_id in ("damaged", "whole"):
            await app.send_event(run_id, "word", "hello")
        blocked = await app.story.state("damaged", RunState.BLOCKED)
        assert blocked.error is not None
        await app.story.state("whole", RunState.COMPLETED)
        await app.idle()
