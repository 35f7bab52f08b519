"""Events: kept in order until the run asks for them, each given out once, known again by their key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from podium import (
    InvalidInput,
    NotInRun,
    RunFailed,
    RunState,
    StateConflict,
    UnknownRun,
    gather,
    sleep,
    step,
    wait_for_event,
    workflow,
)
from tests.support.apps import app_on, outcomes


@dataclass(frozen=True)
class Payment:
    amount: int


@workflow
async def payments(count: int) -> list[int]:
    return [(await wait_for_event("paid", Payment)).amount for _ in range(count)]


async def test_an_event_is_what_its_run_waits_for(database):
    async with app_on(database, payments) as app:
        run = await app.start(payments, 1, run_id="r")
        waiting = await app.story.state("r", RunState.WAITING)
        assert waiting.waiting_on == "event paid"
        assert await run.send_event("paid", Payment(7))
        assert await run.result() == [7]
        assert outcomes(await app.journal("r")) == ["0:paid#1=done"]
        assert await app.inbox_is_empty()


async def test_events_that_come_early_are_kept_in_order(database):
    reached = asyncio.Event()

    @step
    async def work() -> None:
        await reached.wait()

    @workflow
    async def late() -> list[int]:
        await work()
        return [await wait_for_event("n", int) for _ in range(3)]

    async with app_on(database, late) as app:
        run = await app.start(late)
        for n in (3, 1, 2):
            await run.send_event("n", n)
        reached.set()
        assert await run.result() == [3, 1, 2]


async def test_events_of_other_names_wait_for_their_turn_across_restarts(database):
    @workflow
    async def two() -> list[str]:
        return [await wait_for_event("first", str), await wait_for_event("second", str)]

    async with app_on(database, two) as app:
        run = await app.start(two, run_id="r")
        await app.story.state("r", RunState.WAITING)
        await run.send_event("second", "b")
        await app.idle()
        assert await run.status() is RunState.WAITING
    async with app_on(database, two) as app:
        run = await app.get("r")
        await run.send_event("first", "a")
        assert await run.result() == ["a", "b"]
        assert await app.inbox_is_empty()


async def test_the_same_event_sent_again_is_dropped(database):
    async with app_on(database, payments) as app:
        run = await app.start(payments, 2, run_id="r")
        assert await run.send_event("paid", Payment(1), dedupe="invoice-1")
        await app.idle()
        assert not await run.send_event("paid", Payment(1), dedupe="invoice-1")
        assert await run.send_event("paid", Payment(2), dedupe="invoice-2")
        assert await run.result() == [1, 2]


async def test_of_several_that_wait_the_longest_is_served_first(database):
    @workflow
    async def several() -> tuple[int, ...]:
        return await gather(*[wait_for_event("n", int) for _ in range(3)])

    async with app_on(database, several) as app:
        run = await app.start(several)
        for n in (10, 20, 30):
            await run.send_event("n", n)
        assert await run.result() == (10, 20, 30)


async def test_a_wait_may_end_without_one(database):
    @workflow
    async def impatient() -> str:
        try:
            return await wait_for_event("never", str, timeout=0.02)
        except TimeoutError:
            return await wait_for_event("later", str, timeout="1h")

    async with app_on(database, impatient) as app:
        run = await app.start(impatient)
        await run.send_event("later", "came")
        assert await run.result() == "came"


async def test_no_event_is_lost_to_a_wait_that_was_given_up_at_that_moment(database):
    """Timers and events race many times; each event must come out exactly once."""

    @workflow
    async def racing() -> list[int]:
        got: list[int] = []
        while len(got) < 60:
            try:
                got.append(await wait_for_event("n", int, timeout=0.001))
            except TimeoutError:
                continue
        return got

    async with app_on(database, racing) as app:
        run = await app.start(racing)
        for n in range(60):
            await run.send_event("n", n)
            await asyncio.sleep(0.001)
        assert await run.result() == list(range(60))


async def test_an_event_that_does_not_fit_is_an_error_that_the_workflow_can_catch(database):
    @workflow
    async def strict() -> int:
        try:
            return (await wait_for_event("paid", Payment)).amount
        except InvalidInput:
            return (await wait_for_event("paid", Payment)).amount

    async with app_on(database, strict) as app:
        run = await app.start(strict)
        await run.send_event("paid", "rubbish")
        await run.send_event("paid", {"amount": 3})
        assert await run.result() == 3


async def test_an_ended_run_takes_no_events(database):
    async with app_on(database, payments) as app:
        run = await app.start(payments, 0)
        await run.result()
        with pytest.raises(StateConflict, match="completed"):
            await run.send_event("paid", Payment(1))
        with pytest.raises(UnknownRun):
            await app.send_event("nobody", "paid", 1)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
async def test_names_that_cannot_be_shown_are_refused(database, name):
    @workflow
    async def odd() -> None:
        await wait_for_event(name)

    async with app_on(database, odd, payments) as app:
        with pytest.raises(RunFailed, match="event's name"):
            await app.run(odd)
        run = await app.start(payments, 1)
        with pytest.raises(InvalidInput, match="event's name"):
            await run.send_event(name)


async def test_outside_a_run_nothing_waits():
    with pytest.raises(NotInRun):
        await wait_for_event("n")


async def test_a_run_that_waits_for_an_event_is_not_kept_in_memory(database):
    @workflow
    async def parked() -> None:
        await sleep(0)
        await wait_for_event("go")

    async with app_on(database, parked) as app:
        for i in range(20):
            await app.start(parked, run_id=f"r{i}")
        await app.idle()
        assert app.in_memory == set()
        await app.send_event("r7", "go")
        await app.story.state("r7", RunState.COMPLETED)
