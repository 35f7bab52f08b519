"""Forced replay finds code that does not do the same twice, and says where."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import random as dice

import pytest

from podium import continue_as_new, gather, now, patched, random, sleep, step, uuid, workflow
from podium.testing import Harness, NotDeterministic


@step
async def note(text: str) -> str:
    return text


@step
async def other(text: str) -> str:
    return text


def line_of(definition, marker: str) -> str:
    lines, first = inspect.getsourcelines(definition.function)
    return f"test_forced_replay.py:{first + next(i for i, line in enumerate(lines) if marker in line)}"


async def divergence(*workflows) -> str:
    with pytest.raises(NotDeterministic) as raised:
        async with Harness(workflows=workflows) as app:
            await app.run(workflows[0])
    return str(raised.value)


async def test_other_arguments_are_shown_with_the_line_that_gave_them():
    count = itertools.count()

    @workflow
    async def counting() -> str:
        await note("same")
        return await note(f"call {next(count)}")

    said = await divergence(counting)
    assert "workflow 'counting' is not deterministic" in said
    assert "at first: step 'note' at '0:note#2', with text='call 0'" in said
    assert f"replayed: step 'note' at '0:note#2', {line_of(counting, 'next(count)')}, with text='call" in said


async def test_a_branch_taken_by_chance_is_shown_with_both_sides():
    taken = iter([True, *[False] * 50])

    @workflow
    async def wavering() -> str:
        if next(taken):
            return await note("heads")
        return await other("tails")

    said = await divergence(wavering)
    assert "at first: step 'note' at '0:note#1'" in said
    assert f"replayed: step 'other' at '0:other#1', {line_of(wavering, 'tails')}" in said


async def test_the_line_of_a_task_is_where_its_workflow_waits_for_it():
    @workflow
    async def beside() -> tuple[str, str]:
        return await gather(note("a"), note(str(dice.random())))

    assert f"replayed: step 'note' at '0.2:note#1', {line_of(beside, 'gather')}" in await divergence(beside)


async def test_a_timer_that_is_due_at_another_time_is_a_divergence():
    lengths = itertools.count(1)

    @workflow
    async def dozing() -> str:
        await note("first")
        await sleep(next(lengths) * 100)
        return await note("awake")

    said = await divergence(dozing)
    assert line_of(dozing, "sleep") in said
    assert "timer" in said


async def test_another_result_is_a_divergence():
    @workflow
    async def lucky() -> float:
        await note("a")
        return dice.random()

    assert "at first it returned" in await divergence(lucky)


async def test_an_end_by_another_error_is_a_divergence():
    errors = iter([ValueError("a"), *[KeyError("b")] * 10])

    @workflow
    async def broken() -> None:
        await note("a")
        raise next(errors)

    assert "at first it ended as failed" in await divergence(broken)


async def test_a_divergence_is_told_though_nobody_waits_for_the_run():
    @workflow
    async def unwatched() -> str:
        return await note(str(dice.random()))

    with pytest.raises(NotDeterministic):
        async with Harness(workflows=[unwatched]) as app:
            await app.start(unwatched)
            await app.skip("1s")


async def test_it_can_be_turned_off():
    @workflow
    async def free() -> str:
        return await note(str(dice.random()))

    async with Harness(workflows=[free], forced_replay=False) as app:
        assert await app.run(free)


async def test_whatever_podium_gives_is_the_same_again():
    @workflow
    async def child(left: int) -> list[str]:
        if patched("v2"):
            await note("new")
        if left:
            continue_as_new(left - 1)
        return [str(uuid()), str(random()), str(now())]

    @workflow
    async def all_of_it() -> list[str]:
        async def race(text: str) -> str:
            await sleep(random())
            return await note(text)

        tasks = [asyncio.create_task(race(str(i))) for i in range(5)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        try:
            async with asyncio.timeout(10):
                await sleep(60)
        except TimeoutError:
            await note("late")
        return [next(iter(done)).result(), *await child(2)]

    async with Harness(workflows=[all_of_it, child]) as app:
        given: list[str] = await app.run(all_of_it)
        assert len(given) == 4


async def test_a_long_run_is_replayed_in_proportion():
    @workflow
    async def long() -> int:
        for i in range(300):
            await note(str(i))
        return 300

    async with Harness(workflows=[long]) as app:
        assert await app.run(long) == 300
