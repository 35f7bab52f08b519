"""Compensation: completed steps are undone in reverse order, durably, when their run or transaction fails."""

from __future__ import annotations

import asyncio

import pytest

from podium import (
    InvalidDefinition,
    RunCancelled,
    RunFailed,
    RunState,
    StepFailed,
    WorldMoved,
    gather,
    step,
    transaction,
    wait_for_event,
    workflow,
)
from tests.support.apps import app_on, until

done: list[str] = []
broken: set[str] = set()


@pytest.fixture(autouse=True)
def _fresh_world():
    done.clear()
    broken.clear()


def act(what: str) -> str:
    done.append(what)
    if what in broken:
        raise ValueError(f"{what} is broken")
    return what


@step(backoff=0.001, retries=2)
async def unbook(booking: str) -> None:
    act(f"un{booking}")


@step(compensate=unbook)
async def book(what: str) -> str:
    return act(what)


@step
async def plain(what: str) -> str:
    return act(what)


async def test_a_failed_run_is_undone_in_reverse_order(database):
    @workflow
    async def trip() -> None:
        await book("hotel")
        await book("flight")
        await plain("car")

    broken.add("car")
    async with app_on(database, trip) as app:
        with pytest.raises(RunFailed, match="car is broken"):
            await app.run(trip)
    assert done == ["hotel", "flight", "car", "unflight", "unhotel"]


async def test_a_run_that_succeeds_is_left_alone(database):
    @workflow
    async def trip() -> str:
        return await book("hotel")

    async with app_on(database, trip) as app:
        assert await app.run(trip) == "hotel"
    assert done == ["hotel"]


async def test_what_failed_itself_is_not_undone(database):
    @workflow
    async def trip() -> None:
        await book("hotel")
        await book("flight")

    broken.add("flight")
    async with app_on(database, trip) as app:
        with pytest.raises(RunFailed):
            await app.run(trip)
    assert done == ["hotel", "flight", "unhotel"]


async def test_a_cancelled_run_is_undone_after_its_own_clean_up(database):
    @workflow
    async def trip() -> None:
        await book("hotel")
        try:
            await wait_for_event("never")
        finally:
            await plain("clean-up")

    async with app_on(database, trip) as app:
        run = await app.start(trip, run_id="r")
        await app.story.state("r", RunState.WAITING)
        await run.cancel()
        with pytest.raises(RunCancelled):
            await run.result()
    assert done == ["hotel", "clean-up", "unhotel"]


async def test_each_compensation_has_its_own_retries(database):
    tries = []

    @step(retries=3, backoff=0.001)
    async def stubborn(result: str) -> None:
        tries.append(result)
        if len(tries) < 3:
            raise ValueError("not yet")

    @step(compensate=stubborn)
    async def first() -> str:
        return act("first")

    @workflow
    async def trip() -> None:
        await first()
        raise ValueError("no")

    async with app_on(database, trip) as app:
        with pytest.raises(RunFailed, match="ValueError: no"):
            await app.run(trip)
    assert tries == ["first"] * 3


async def test_a_compensation_that_fails_is_named_and_the_others_are_done(database):
    @workflow
    async def trip() -> None:
        await book("hotel")
        await book("flight")
        await book("car")
        raise ValueError("changed my mind")

    broken.add("unflight")
    async with app_on(database, trip) as app:
        with pytest.raises(
            RunFailed, match=r"CompensationFailed: 0:book#2 could not be undone: .*unflight.*changed"
        ):
            await app.run(trip)
    assert [what for what in done if what.startswith("un")] == [
        "uncar",
        "unflight",
        "unflight",
        "unflight",
        "unhotel",
    ]


async def test_it_is_given_the_result_and_by_name_the_arguments(database):
    given = []

    def refund(receipt: int, account: str) -> None:
        given.append((receipt, account))

    @step(compensate=refund)
    async def charge(amount: int, account: str) -> int:
        return amount * 10

    @workflow
    async def pay() -> None:
        await charge(4, account="ada")
        raise ValueError("no")

    async with app_on(database, pay) as app:
        with pytest.raises(RunFailed):
            await app.run(pay)
    assert given == [(40, "ada")]


def test_one_that_asks_for_what_the_step_has_not_is_refused():
    def refund(receipt: int, account: str) -> None: ...

    with pytest.raises(InvalidDefinition, match="takes account"):

        @step(compensate=refund)
        async def charge(amount: int) -> int:
            return amount


async def test_branches_that_had_completed_are_undone_even_when_nobody_received_their_result(database):
    """One branch fails while another's success is on its way to the journal: its effect is in the world."""
    free = asyncio.Event()

    @step(compensate=unbook)
    async def waits(what: str) -> str:
        await free.wait()
        return act(what)

    @step
    async def fails() -> None:
        free.set()
        await asyncio.sleep(0)
        raise ValueError("no")

    @workflow
    async def trip() -> None:
        await gather(waits("hotel"), fails(), waits("flight"))

    for i in range(10):
        free.clear()
        done.clear()
        async with app_on(database, trip) as app:
            with pytest.raises(RunFailed):
                await app.run(trip, run_id=f"r{i}")
            entries = await app.journal(f"r{i}")
        recorded = [entry for entry in entries if entry.name == "waits" and entry.type == "done"]
        assert len([what for what in done if what.startswith("un")]) == len(recorded)


async def test_compensation_goes_on_after_a_crash_where_it_was(database):
    hold = asyncio.Event()

    @step
    async def careful(booking: str) -> None:
        act(f"un{booking}")
        if booking == "hotel" and not hold.is_set():
            await asyncio.Event().wait()

    @step(compensate=careful)
    async def reserve(what: str) -> str:
        return act(what)

    @workflow
    async def trip() -> None:
        await reserve("hotel")
        await reserve("flight")
        raise ValueError("no")

    async with app_on(database, trip) as app:
        await app.start(trip, run_id="r")
        await until(lambda: "unhotel" in done)
    hold.set()
    async with app_on(database, trip) as app:
        with pytest.raises(RunFailed, match="ValueError: no"):
            await (await app.get("r")).result()
    assert done == ["hotel", "flight", "unflight", "unhotel", "unhotel"]


async def test_a_cancellation_does_not_interrupt_it(database):
    begun, go_on = asyncio.Event(), asyncio.Event()

    @step
    async def slowly(booking: str) -> None:
        begun.set()
        await go_on.wait()
        act(f"un{booking}")

    @step(compensate=slowly)
    async def reserve(what: str) -> str:
        return act(what)

    @workflow
    async def trip() -> None:
        await reserve("hotel")
        raise ValueError("no")

    async with app_on(database, trip) as app:
        run = await app.start(trip)
        await begun.wait()
        await run.cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        with pytest.raises((RunFailed, RunCancelled)):
            await run.result()
    assert done == ["hotel", "unhotel"]


async def test_a_retried_run_does_again_what_was_undone(database):
    @workflow
    async def trip() -> str:
        hotel = await book("hotel")
        seen = await plain("look")
        await plain("car")
        return f"{hotel} {seen}"

    broken.add("car")
    async with app_on(database, trip) as app:
        run = await app.start(trip)
        with pytest.raises(RunFailed):
            await run.result()
        broken.clear()
        await run.retry()
        assert await run.result() == "hotel look"
    assert done == ["hotel", "look", "car", "unhotel", "hotel", "car"]


class TestTransaction:
    async def test_its_steps_are_undone_and_the_run_goes_on(self, database):
        @workflow
        async def trip() -> str:
            await book("insurance")
            try:
                async with transaction():
                    await book("hotel")
                    await book("flight")
                    await plain("car")
            except StepFailed:
                return await plain("stay at home")
            return "gone"

        broken.add("car")
        async with app_on(database, trip) as app:
            assert await app.run(trip) == "stay at home"
        assert done == ["insurance", "hotel", "flight", "car", "unflight", "unhotel", "stay at home"]

    async def test_one_that_succeeded_is_undone_when_the_run_fails_later(self, database):
        @workflow
        async def trip() -> None:
            async with transaction():
                await book("hotel")
            await plain("car")

        broken.add("car")
        async with app_on(database, trip) as app:
            with pytest.raises(RunFailed):
                await app.run(trip)
        assert done == ["hotel", "car", "unhotel"]

    async def test_steps_of_branches_belong_to_it(self, database):
        @workflow
        async def trip() -> str:
            try:
                async with transaction():
                    await gather(book("hotel"), book("flight"))
                    raise ValueError("no")
            except ValueError:
                return "at home"

        async with app_on(database, trip) as app:
            assert await app.run(trip) == "at home"
        assert sorted(done) == ["flight", "hotel", "unflight", "unhotel"]

    async def test_a_world_that_moved_meanwhile_is_noticed(self, database):
        stock = [3]

        @step
        async def read_stock() -> int:
            return stock[0]

        @workflow
        async def order(moves: bool) -> str:
            try:
                async with transaction(recheck=read_stock):
                    await book("item")
                    if moves:
                        stock[0] -= 1
            except WorldMoved as error:
                return str(error)
            return "ordered"

        async with app_on(database, order) as app:
            assert await app.run(order, False) == "ordered"
            assert done == ["item"]
            assert "it was 3 and is now 2" in await app.run(order, True)
            assert done == ["item", "item", "unitem"]

    async def test_within_another_one(self, database):
        @workflow
        async def nested() -> str:
            try:
                async with transaction():
                    await book("outer")
                    async with transaction():
                        await book("inner")
                    raise ValueError("no")
            except ValueError:
                return "undone"

        async with app_on(database, nested) as app:
            assert await app.run(nested) == "undone"
        assert done == ["outer", "inner", "uninner", "unouter"]

    async def test_a_cancellation_undoes_it(self, database):
        @workflow
        async def trip() -> None:
            async with transaction():
                await book("hotel")
                await wait_for_event("never")

        async with app_on(database, trip) as app:
            run = await app.start(trip, run_id="r")
            await app.story.state("r", RunState.WAITING)
            await run.cancel()
            with pytest.raises(RunCancelled):
                await run.result()
        assert done == ["hotel", "unhotel"]
