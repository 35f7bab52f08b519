"""Cancelling a run, wherever it stands: its clean-up runs durably, and nothing of it goes on."""

from __future__ import annotations

import asyncio

import pytest

from podium import (
    DecisionVerdict,
    ReviewClosed,
    ReviewState,
    RunBlocked,
    RunCancelled,
    RunState,
    StateConflict,
    ask_human,
    gather,
    sleep,
    step,
    workflow,
)
from tests.support.apps import app_on, outcomes, until


class Desk:
    """A workflow that works, and cleans up in both of the ways there are."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.working = asyncio.Event()
        self.cleaning = asyncio.Event()
        self.may_clean = asyncio.Event()
        self.may_clean.set()

        @step
        async def work() -> None:
            self.log.append("working")
            self.working.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.log.append("cut")
                raise

        @step
        async def clean(what: str) -> None:
            self.cleaning.set()
            await self.may_clean.wait()
            self.log.append(what)

        @workflow
        async def careful() -> None:
            try:
                try:
                    await work()
                finally:
                    await clean("finally")
            except asyncio.CancelledError:
                await clean("except")
                raise

        self.careful = careful


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_running_run_has_its_step_cut_off_and_its_clean_up_recorded(database, desk):
    async with app_on(database, desk.careful) as app:
        handle = await app.start(desk.careful, run_id="r")
        await desk.working.wait()
        await handle.cancel()
        with pytest.raises(RunCancelled, match="run 'r' was cancelled"):
            await handle.result()
        assert await handle.status() is RunState.CANCELLED
        assert outcomes(await app.journal("r")) == [
            "cancel=signal",
            "0:clean#1=done",
            "0:clean#2=done",
        ]
    assert desk.log == ["working", "cut", "finally", "except"]


async def test_clean_up_goes_on_after_a_restart(database, desk):
    desk.may_clean.clear()
    async with app_on(database, desk.careful) as app:
        handle = await app.start(desk.careful, run_id="r")
        await desk.working.wait()
        await handle.cancel()
        await desk.cleaning.wait()
    desk.may_clean.set()
    async with app_on(database, desk.careful) as app:
        with pytest.raises(RunCancelled):
            await (await app.get("r")).result()
    assert desk.log == ["working", "cut", "finally", "except"]


async def test_cancelling_again_does_not_cut_the_clean_up_short(database, desk):
    desk.may_clean.clear()
    async with app_on(database, desk.careful) as app:
        handle = await app.start(desk.careful, run_id="r")
        await desk.working.wait()
        await handle.cancel()
        await desk.cleaning.wait()
        await handle.cancel()
        await until(app.inbox_is_empty)
        desk.may_clean.set()
        with pytest.raises(RunCancelled):
            await handle.result()
    assert desk.log == ["working", "cut", "finally", "except"]


async def test_a_run_that_has_ended_cannot_be_cancelled(database):
    @workflow
    async def quick() -> None: ...

    async with app_on(database, quick) as app:
        handle = await app.start(quick, run_id="r")
        await handle.result()
        with pytest.raises(StateConflict, match="run 'r' cannot be cancelled: it is completed already"):
            await handle.cancel()


async def test_a_cancellation_that_comes_too_late_changes_nothing(database):
    @step
    async def work() -> None: ...

    @workflow
    async def quick() -> str:
        await work()
        return "done"

    async with app_on(database, quick) as app:
        for i in range(20):
            handle = await app.start(quick, run_id=f"r{i}")
            await asyncio.sleep(0.0005 * i)
            try:
                await handle.cancel()
            except StateConflict:
                assert await handle.result() == "done"
        await app.idle()
        for i in range(20):
            assert (await app.runs.get(f"r{i}")).state in (RunState.COMPLETED, RunState.CANCELLED)
        assert await app.inbox_is_empty()


async def test_a_run_parked_on_a_person_is_cancelled_and_its_review_closes(database):
    @workflow
    async def asks() -> str:
        return (await ask_human("May I?")).comment

    async with app_on(database, asks) as app:
        handle = await app.start(asks, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await handle.result()
        assert (await app.reviews.get(review.id)).state is ReviewState.CANCELLED
        with pytest.raises(ReviewClosed):
            await app.reviews.decide(review.id, DecisionVerdict.REJECT, reviewer="ada")


async def test_a_sleeping_run_is_cancelled_at_once(database):
    @workflow
    async def sleeper() -> None:
        await sleep(3600)

    async with app_on(database, sleeper) as app:
        handle = await app.start(sleeper, run_id="r")
        await app.story.state("r", RunState.WAITING)
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await handle.result()


async def test_a_pending_run_is_cancelled_without_ever_beginning(database):
    executed, free = [], asyncio.Event()

    @step
    async def work(i: int) -> None:
        executed.append(i)
        await free.wait()

    @workflow
    async def one(i: int) -> None:
        await work(i)

    async with app_on(database, one, max_active_runs=1) as app:
        first = await app.start(one, 1, run_id="first")
        second = await app.start(one, 2, run_id="second")
        assert await second.status() is RunState.PENDING
        await second.cancel()
        await app.story.state("second", RunState.CANCELLED)
        free.set()
        with pytest.raises(RunCancelled):
            await second.result()
        await first.result()
        assert (await app.runs.get("second")).started_at is None
    assert executed == [1]


async def test_a_blocked_run_is_cancelled_without_its_code(database):
    @step
    async def old() -> None: ...

    @step
    async def new() -> None: ...

    called = old

    @workflow
    async def asks() -> None:
        await called()
        await ask_human("May I?")

    async with app_on(database, asks) as app:
        await app.start(asks, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
    called = new
    async with app_on(database, asks) as app:
        await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"x"')
        handle = await app.get("r")
        with pytest.raises(RunBlocked):
            await handle.result()
        await handle.cancel()
        await app.story.state("r", RunState.CANCELLED)
        with pytest.raises(RunCancelled):
            await handle.result()
        await app.idle()
        assert await app.inbox_is_empty()


async def test_a_run_is_cancelled_from_another_process_while_nobody_works_on_it(database, desk):
    from podium.app.database import open_database

    async with app_on(database, desk.careful) as app:
        await app.start(desk.careful, run_id="r")
        await desk.working.wait()
    async with open_database(database) as other:
        await other.runs.cancel("r")
    desk.log.clear()
    async with app_on(database, desk.careful) as app:
        with pytest.raises(RunCancelled):
            await (await app.get("r")).result()
    assert desk.log[-2:] == ["finally", "except"]


async def test_code_may_refuse_to_be_cancelled(database):
    @step
    async def work() -> None:
        await asyncio.Event().wait()

    @workflow
    async def stubborn() -> str:
        try:
            await work()
        except asyncio.CancelledError:
            await sleep(0.01)
        return "went on"

    async with app_on(database, stubborn) as app:
        handle = await app.start(stubborn, run_id="r")
        await app.story.state("r", RunState.RUNNING)
        await handle.cancel()
        assert await handle.result() == "went on"


async def test_a_cancelled_gather_awaits_the_clean_up_of_all_its_branches(database):
    log = []
    working = asyncio.Event()

    @step
    async def work(name: str) -> None:
        log.append(name)
        if len(log) == 2:
            working.set()
        await asyncio.Event().wait()

    @step
    async def clean(name: str) -> None:
        log.append(f"clean {name}")

    async def careful(name: str) -> None:
        try:
            await work(name)
        finally:
            await clean(name)

    @workflow
    async def both() -> None:
        await gather(careful("a"), careful("b"))

    async with app_on(database, both) as app:
        handle = await app.start(both, run_id="r")
        await working.wait()
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await handle.result()
    assert sorted(log) == ["a", "b", "clean a", "clean b"]
