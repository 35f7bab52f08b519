"""The timeout of a workflow: seconds of active work, however long it waits for people and times."""

from __future__ import annotations

import asyncio

import pytest

from podium import (
    DecisionVerdict,
    InvalidDefinition,
    RunFailed,
    RunState,
    StepFailed,
    ask_human,
    sleep,
    step,
    workflow,
)
from tests.support.apps import app_on, outcomes, some


async def test_a_run_that_works_too_long_fails_after_its_clean_up(database):
    cleaned = []

    @step
    async def work() -> None:
        await asyncio.Event().wait()

    @step
    async def clean() -> None:
        await asyncio.sleep(0.05)
        cleaned.append(1)

    @workflow(timeout=0.05)
    async def slow() -> None:
        try:
            await work()
        finally:
            await clean()

    async with app_on(database, slow) as app:
        with pytest.raises(RunFailed, match="RunTimeout: the run used up its active time"):
            await app.run(slow, run_id="r")
        assert outcomes(await app.journal("r")) == ["timeout=signal", "0:clean#1=done"]
    assert cleaned == [1]


async def test_waiting_for_a_person_does_not_count(database):
    @step
    async def work() -> None: ...

    @workflow(timeout=0.6)
    async def asks() -> str:
        await work()
        answer = await ask_human("How long?")
        await work()
        return some(answer.value)

    async with app_on(database, asks) as app:
        handle = await app.start(asks, run_id="r")
        await app.story.state("r", RunState.WAITING)
        await asyncio.sleep(0.7)
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"long"')
        assert await handle.result() == "long"
        assert (await app.runs.get("r")).spending.active_seconds < 0.6


@pytest.mark.parametrize("linger", [0, 1], ids=["out of memory", "in memory"])
async def test_sleeping_does_not_count_wherever_it_is_spent(database, linger):
    @workflow(timeout=0.6)
    async def sleeper() -> str:
        for _ in range(4):
            await sleep(0.2)
        return "rested"

    async with app_on(database, sleeper, linger=linger) as app:
        assert await app.run(sleeper, run_id="r") == "rested"
        assert (await app.runs.get("r")).spending.active_seconds < 0.6


async def test_active_time_is_counted_across_restarts(database):
    began = asyncio.Event()

    @step
    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    @workflow(timeout=0.4)
    async def slow() -> None:
        await sleep(0.01)
        await work()

    async with app_on(database, slow, linger=0) as app:
        await app.start(slow, run_id="r")
        await began.wait()
        await asyncio.sleep(0.1)
    async with app_on(database, slow, linger=0) as app:
        with pytest.raises(RunFailed, match="RunTimeout"):
            await (await app.get("r")).result()


async def test_the_clean_up_of_a_timed_out_run_is_not_cut_short_by_a_restart(database):
    began, gate = asyncio.Event(), asyncio.Event()
    executed = []

    @step
    async def work() -> None:
        await asyncio.Event().wait()

    @step
    async def clean() -> None:
        executed.append("clean")
        began.set()
        await gate.wait()

    @workflow(timeout=0.03)
    async def slow() -> None:
        try:
            await work()
        finally:
            await clean()

    async with app_on(database, slow) as app:
        await app.start(slow, run_id="r")
        await began.wait()
    began.clear()
    async with app_on(database, slow) as app:
        await began.wait()
        await asyncio.sleep(0.06)
        gate.set()
        with pytest.raises(RunFailed, match="RunTimeout"):
            await (await app.get("r")).result()
        assert outcomes(await app.journal("r")) == ["timeout=signal", "0:clean#1=done"]
    assert executed == ["clean", "clean"]


async def test_a_child_has_its_own_timeout(database):
    @step
    async def work() -> None:
        await asyncio.Event().wait()

    @workflow(timeout=0.03)
    async def child() -> None:
        await work()

    @workflow(timeout=5)
    async def parent() -> str:
        try:
            await child()
        except StepFailed as failure:
            return failure.error.type
        return "unreachable"

    async with app_on(database, parent, child) as app:
        assert await app.run(parent) == "RunTimeout"


async def test_a_timeout_must_be_a_time():
    with pytest.raises(InvalidDefinition, match="timeout=0 must be a number of seconds above 0"):
        workflow(timeout=0)
