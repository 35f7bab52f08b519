"""`gather`, and the standard library's own ways of doing several things at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from podium import RunFailed, RunState, StepFailed, gather, sleep, step, workflow
from podium.domain.happenings import EntryMade, Happening
from podium.flow.steps import Step
from tests.support.apps import app_on, outcomes, until

Do = Step[[str], str]


class Work:
    """Steps of which the test decides when they end; `log` says what happened to them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.started = asyncio.Condition()

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    async def until_started(self, count: int) -> None:
        await until(lambda: sum(line.startswith("began") for line in self.log) >= count)

    async def do(self, name: str) -> str:
        self.log.append(f"began {name}")
        try:
            await self.gate(name).wait()
        except asyncio.CancelledError:
            self.log.append(f"cut {name}")
            raise
        return name


def is_outcome(happening: Happening, value: str) -> bool:
    return isinstance(happening, EntryMade) and happening.entry.payload == f'"{value}"'.encode()


@pytest.fixture
def work() -> Work:
    return Work()


async def test_results_come_in_the_order_given_whatever_ends_first(database, work):
    do: Do = step(name="do")(work.do)

    @workflow
    async def three() -> list[str]:
        return list(await gather(do("a"), do("b"), do("c")))

    async with app_on(database, three) as app:
        handle = await app.start(three, run_id="r")
        await work.until_started(3)
        for name in ("c", "a", "b"):
            work.gate(name).set()
            await app.story.tells(partial(is_outcome, value=name))
        assert await handle.result() == ["a", "b", "c"]
        assert outcomes(await app.journal("r")) == ["0.3:do#1=done", "0.1:do#1=done", "0.2:do#1=done"]


async def test_nothing_to_gather_is_an_empty_result(database):
    @workflow
    async def none() -> list[str]:
        return list(await gather())

    async with app_on(database, none) as app:
        assert await app.run(none) == []


async def test_one_failure_cancels_the_others_last_started_first_and_awaits_their_clean_up(database, work):
    do: Do = step(name="do")(work.do)
    cleaned = []

    @step
    async def fail() -> None:
        raise ValueError("broken")

    @step
    async def clean(name: str) -> None:
        cleaned.append(name)

    async def careful(name: str) -> str:
        try:
            return await do(name)
        finally:
            work.log.append(f"cleaning {name}")
            await clean(name)
            work.log.append(f"cleaned {name}")

    async def failing() -> str:
        await work_begun()
        await fail()
        return "unreachable"

    @step
    async def work_begun() -> None:
        await work.until_started(3)

    @workflow
    async def four() -> list[str]:
        try:
            await gather(careful("a"), careful("b"), failing(), careful("c"))
        except StepFailed as failure:
            work.log.append("caught")
            return [failure.error.message]
        return []

    async with app_on(database, four) as app:
        assert await app.run(four) == ["broken"]
    log = [line for line in work.log if not line.startswith(("began", "cut"))]
    assert log[:3] == ["cleaning c", "cleaning b", "cleaning a"]
    assert sorted(log[3:6]) == ["cleaned a", "cleaned b", "cleaned c"]
    assert log[6] == "caught"
    assert sorted(cleaned) == ["a", "b", "c"]
    assert sorted(line for line in work.log if line.startswith("cut")) == ["cut a", "cut b", "cut c"]


async def test_gathers_can_be_nested(database):
    @step
    async def double(i: int) -> int:
        return 2 * i

    async def pair(i: int) -> tuple[int, ...]:
        return await gather(double(i), double(i + 1))

    @workflow
    async def tree() -> list[list[int]]:
        return [list(pair) for pair in await gather(pair(1), gather(double(5), pair_sum()), pair(10))]

    async def pair_sum() -> int:
        return sum(await pair(3))

    async with app_on(database, tree) as app:
        assert await app.run(tree, run_id="r") == [[2, 4], [10, 14], [20, 22]]
        keys = {entry.key for entry in await app.journal("r")}
    assert len(keys) == 7
    assert {"0.1.1:double#1", "0.3.2:double#1"} <= keys


async def test_a_task_group_cancels_its_other_tasks_and_reports_the_failure(database, work):
    do: Do = step(name="do")(work.do)

    @step
    async def fail() -> None:
        await work.until_started(2)
        raise ValueError("broken")

    @workflow
    async def grouped() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(do("a"))
                group.create_task(do("b"))
                group.create_task(fail())
        except ExceptionGroup as failures:
            return str(failures.exceptions[0])
        return "unreachable"

    async with app_on(database, grouped) as app:
        assert await app.run(grouped) == "step 'fail' failed: ValueError: broken"
    assert sorted(work.log) == ["began a", "began b", "cut a", "cut b"]


async def test_a_failure_in_a_task_group_that_nobody_catches_fails_the_run_with_its_first_error(database):
    @step
    async def fail(why: str) -> None:
        raise ValueError(why)

    @workflow
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("first"))

    async with app_on(database, grouped) as app:
        with pytest.raises(RunFailed, match="ValueError: step 'fail' failed: ValueError: first"):
            await app.run(grouped)


async def test_a_step_may_be_given_up_by_asyncios_timeout(database, work):
    do: Do = step(name="do")(work.do)

    @workflow
    async def impatient() -> str:
        try:
            async with asyncio.timeout(0.3):
                return await do("slow")
        except TimeoutError:
            return "given up"

    async with app_on(database, impatient) as app:
        assert await app.run(impatient, run_id="r") == "given up"
        assert outcomes(await app.journal("r")) == ["0:timer#1=done"]
    assert work.log == ["began slow", "cut slow"]


async def test_a_race_is_won_by_the_first_and_the_loser_is_given_up(database, work):
    do: Do = step(name="do")(work.do)

    @workflow
    async def race() -> str:
        runners = [asyncio.create_task(do(name)) for name in ("a", "b")]
        (winner,), losers = await asyncio.wait(runners, return_when=asyncio.FIRST_COMPLETED)
        for loser in losers:
            loser.cancel()
        return winner.result()

    async with app_on(database, race) as app:
        handle = await app.start(race)
        await work.until_started(2)
        work.gate("b").set()
        assert await handle.result() == "b"
    assert sorted(work.log[:2]) == ["began a", "began b"]
    assert work.log[2:] == ["cut a"]


async def test_a_run_that_gave_up_a_step_may_leave_memory_before_the_step_has_cleaned_up(database):
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    @step
    async def thorough() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await cleaned.wait()

    @workflow
    async def gives_up() -> str:
        try:
            async with asyncio.timeout(0.3):
                await thorough()
        except TimeoutError:
            await sleep(0.1)
        return "rested"

    async with app_on(database, gives_up, linger=0) as app:
        handle = await app.start(gives_up, run_id="r")
        await cleaning.wait()
        await app.story.state("r", RunState.WAITING)
        assert not app.in_memory
        assert await handle.result() == "rested"
        cleaned.set()


async def test_as_completed_takes_tasks_and_refuses_coroutines_because_their_order_is_not_fixed(database):
    @step
    async def one() -> int:
        return 1

    @workflow
    async def with_tasks() -> int:
        return sum(
            [await done for done in asyncio.as_completed([asyncio.create_task(one()) for _ in range(3)])]
        )

    @workflow
    async def with_coroutines() -> int:
        return sum([await done for done in asyncio.as_completed([one()])])

    async with app_on(database, with_tasks, with_coroutines) as app:
        assert await app.run(with_tasks) == 3
        with pytest.raises(RunFailed, match=r"Unordered: .* Give it tasks"):
            await app.run(with_coroutines)
