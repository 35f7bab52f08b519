"""Timelines tell what counts, what does not any more, and what happened to the run itself."""

from __future__ import annotations

import asyncio

import pytest

from podium import (
    InvalidInput,
    RunFailed,
    RunState,
    Settlement,
    SettlementKind,
    ask_human,
    continue_as_new,
    patched,
    sleep,
    spawn,
    step,
    transaction,
    wait_for_event,
    workflow,
)
from podium.domain.journal import EntryType
from tests.support.apps import App, app_on, some, until
from tests.support.world import work, world


@pytest.fixture(autouse=True)
def _fresh_world():
    world.reset()


@step
async def unbook(booking: str) -> None:
    world.calls.append(f"un{booking}")


@step(compensate=unbook)
async def book(what: str) -> str:
    return what


@step(at_most_once=True)
async def send(text: str) -> str:
    world.calls.append(text)
    await world.gate.wait()
    return text


async def test_what_a_retry_struck_is_there_but_does_not_count(database):
    @workflow
    async def two() -> list[str]:
        return [await work("a"), await work("b")]

    world.broken = {"b"}
    async with app_on(database, two) as app:
        run = await app.start(two, run_id="r")
        with pytest.raises(RunFailed):
            await run.result()
        world.broken = set()
        await run.retry()
        await run.result()
        timeline = await run.timeline()
        told = [(operation.key, operation.state, operation.struck) for operation in timeline.operations]
        assert told == [
            ("0:work#1", "done", False),
            ("0:work#2", "error", True),
            ("0:work#2", "done", False),
        ]
        (mark,) = timeline.marks
        assert (mark.type, mark.struck) == (EntryType.RETRY, 1)


async def test_attempts_of_before_a_retry_are_not_those_of_after(database):
    broken = True

    @step(retries=1, backoff=0.001)
    async def flaky() -> str:
        if broken:
            raise ValueError("no")
        return "yes"

    @workflow
    async def one() -> str:
        return await flaky()

    async with app_on(database, one) as app:
        run = await app.start(one)
        with pytest.raises(RunFailed):
            await run.result()
        broken = False
        await run.retry()
        await run.result()
        before, after = (await run.timeline()).operations
        assert (before.struck, len(before.attempts)) == (True, 2)
        assert (after.struck, after.state, after.attempts) == (False, "done", [])


async def test_compensations_are_told_from_steps_and_their_beginning_is_left_out(database):
    @workflow
    async def trip() -> None:
        async with transaction():
            await book("hotel")
            await work("car")

    world.broken = {"car"}
    async with app_on(database, trip) as app:
        run = await app.start(trip)
        with pytest.raises(RunFailed):
            await run.result()
        told = [(operation.name, operation.compensates) for operation in (await run.timeline()).operations]
        assert told == [("book", False), ("work", False), ("unbook", True)]


async def test_patches_signals_and_generations_are_marks(database):
    @workflow
    async def goes_on(n: int) -> None:
        if patched("better"):
            await work("a")
        if n == 0:
            continue_as_new(1)
        await wait_for_event("go")

    async with app_on(database, goes_on) as app:
        run = await app.start(goes_on, 0, run_id="r")
        await app.story.state("r", RunState.WAITING)
        await run.cancel()
        await app.story.state("r", RunState.CANCELLED)
        now = await run.timeline()
        assert [(mark.type, mark.name) for mark in now.marks] == [
            (EntryType.CONTINUED, "continued"),
            (EntryType.PATCH, "better"),
            (EntryType.SIGNAL, "cancel"),
        ]
        assert [operation.key for operation in now.operations] == ["1:work#1"]
        earlier = await app.runs.timeline("r", generation=0)
        assert (earlier.generation, [operation.key for operation in earlier.operations]) == (0, ["0:work#1"])
        with pytest.raises(InvalidInput, match="generations 0 to 1"):
            await app.runs.timeline("r", generation=2)


async def test_what_is_open_is_named_children_and_reviews_by_their_ids(database):
    @workflow
    async def child(name: str) -> str:
        return await wait_for_event(name, str)

    @workflow
    async def parent() -> str:
        first, _ = await spawn(child, "first"), await spawn(child, "second")
        asking = asyncio.create_task(ask_human("May I?"))
        await first.result()
        return (await asking).value or ""

    async with app_on(database, parent, child) as app:
        run = await app.start(parent, run_id="p")
        await app.story.state("p", RunState.WAITING)
        await until(lambda: _children_wait(app))
        children = {
            stored.parent.key: stored.id for stored in await app.list(workflow="child") if stored.parent
        }
        (review,) = await app.reviews.list()
        told = {operation.key: operation for operation in (await run.timeline()).operations}
        assert {operation.state for operation in told.values()} == {"open"}
        assert told["0:child#1"].child == children["0:child#1"]
        assert told["0.1:review#1"].review == review.id
        await app.send_event(children["0:child#1"], "first", "x")
        await until(lambda: _first_has_ended(app))
        (ended, *_) = (await run.timeline()).operations
        assert (ended.state, ended.child) == ("done", children["0:child#1"])


async def _children_wait(app: App) -> bool:
    return len(await app.list(workflow="child", states=[RunState.WAITING])) == 2


async def _first_has_ended(app: App) -> bool:
    return (await app.runs.timeline("p")).operations[0].state == "done"


@pytest.mark.parametrize(
    ("settlement", "state"),
    [
        (Settlement(SettlementKind.DONE, '"sent"'), "done"),
        (Settlement(SettlementKind.FAILED, "it bounced"), "error"),
    ],
)
async def test_what_a_person_settled_is_marked_as_such(database, settlement, state):
    @workflow
    async def sends() -> str:
        await sleep(0)
        return await send("mail")

    async with app_on(database, sends) as app:
        await app.start(sends, run_id="r")
        await until(lambda: world.calls == ["mail"])
    async with app_on(database, sends) as app:
        await app.story.state("r", RunState.BLOCKED)
        await app.runs.settle("r", settlement)
        await app.story.state("r", RunState.COMPLETED if state == "done" else RunState.FAILED)
        told = {operation.name: operation for operation in (await app.timeline("r")).operations}
        assert (told["send"].state, told["send"].settled) == (state, True)
        assert not told["sleep"].settled
        assert some(told["send"].seconds) >= 0
