"""Child runs: a workflow called inside a workflow is a run of its own, which reports to its parent."""

from __future__ import annotations

import asyncio

import pytest

from podium import (
    RunFailed,
    RunState,
    StepFailed,
    ask_human,
    gather,
    sleep,
    step,
    workflow,
)
from podium.domain.ids import RunId, child_run_id
from podium.domain.runs import Parent
from tests.support.apps import app_on, outcomes, patiently, until

PARENT = RunId("parent")
CHILD = child_run_id(PARENT, "0:child#1")


@workflow
async def child(i: int) -> dict[str, int]:
    return {"doubled": 2 * i}


async def test_a_childs_result_is_its_parents(database):
    @workflow
    async def parent() -> int:
        return (await child(4))["doubled"]

    async with app_on(database, parent, child) as app:
        assert await app.run(parent, run_id="parent") == 8
        stored = await app.runs.get(CHILD)
        assert (stored.state, stored.parent) == (RunState.COMPLETED, Parent(PARENT, "0:child#1"))
        assert outcomes(await app.journal("parent")) == ["0:child#1=done"]


async def test_a_parent_leaves_memory_while_its_child_works(database):
    gate = asyncio.Event()

    @step
    async def work() -> None:
        await gate.wait()

    @workflow
    async def child() -> str:
        await work()
        return "done"

    @workflow
    async def parent() -> str:
        return await child()

    async with app_on(database, parent, child) as app:
        handle = await app.start(parent, run_id="parent")
        waiting = await app.story.state("parent", RunState.WAITING)
        assert waiting.waiting_on == f"child run {CHILD}"
        assert app.in_memory <= {CHILD}
        gate.set()
        assert await handle.result() == "done"


async def test_one_place_in_memory_is_enough_for_a_family(database):
    @workflow
    async def grandchild(i: int) -> int:
        await sleep(0)
        return i

    @workflow
    async def child(i: int) -> int:
        return sum(await gather(*[grandchild(i) for _ in range(3)]))

    @workflow
    async def parent() -> int:
        return sum(await gather(*[child(i) for i in range(4)]))

    async with app_on(database, parent, child, grandchild, max_active_runs=1) as app, patiently():
        assert await app.run(parent) == 3 * (0 + 1 + 2 + 3)


async def test_a_childs_failure_is_raised_in_its_parent(database):
    @workflow
    async def child() -> None:
        raise LookupError("nothing there")

    @workflow
    async def parent() -> str:
        try:
            await child()
        except StepFailed as failure:
            return f"{failure.error.type} at {failure.error.where} | {failure}"
        return "unreachable"

    async with app_on(database, parent, child) as app:
        told = await app.run(parent)
    assert told.startswith("LookupError at test_children.py:")
    assert told.endswith("| child 'child' failed: LookupError: nothing there")


async def test_a_workflow_that_is_not_known_here_fails_the_call(database):
    @workflow
    async def parent() -> None:
        await child(1)

    async with app_on(database, parent) as app:
        with pytest.raises(RunFailed, match=r"workflow 'child' is not known here: add it to Podium"):
            await app.run(parent)


async def test_a_cancelled_parent_cancels_its_child_whose_clean_up_runs(database):
    cleaned = []

    @step
    async def clean() -> None:
        cleaned.append("child")

    @workflow
    async def child() -> None:
        try:
            await sleep(3600)
        finally:
            await clean()

    @workflow
    async def parent() -> None:
        await child()

    async with app_on(database, parent, child) as app:
        handle = await app.start(parent, run_id="parent")
        await app.story.state(CHILD, RunState.WAITING)
        await handle.cancel()
        await app.story.state("parent", RunState.CANCELLED)
        await app.story.state(CHILD, RunState.CANCELLED)
    assert cleaned == ["child"]


async def test_a_child_that_lost_its_race_is_cancelled(database):
    @workflow
    async def child() -> None:
        await sleep(3600)

    @workflow
    async def parent() -> str:
        try:
            async with asyncio.timeout(0.3):
                await child()
        except TimeoutError:
            return "went on without it"
        return "unreachable"

    async with app_on(database, parent, child) as app:
        assert await app.run(parent, run_id="parent") == "went on without it"
        await app.story.state(CHILD, RunState.CANCELLED)


async def test_a_child_left_behind_when_its_parent_ends_is_cancelled(database):
    @workflow
    async def child() -> None:
        await sleep(3600)

    @workflow
    async def parent() -> str:
        left_behind = asyncio.create_task(child())
        await sleep(0.01)
        return f"not waiting for {left_behind.get_name()[:4]}"

    async with app_on(database, parent, child) as app:
        await app.run(parent, run_id="parent")
        await app.story.state(child_run_id(PARENT, "0.1:child#1"), RunState.CANCELLED)


async def test_a_child_that_somebody_cancels_is_an_error_in_its_parent(database):
    @workflow
    async def child() -> None:
        await sleep(3600)

    @workflow
    async def parent() -> str:
        try:
            await child()
        except StepFailed as failure:
            return failure.error.type
        return "unreachable"

    async with app_on(database, parent, child) as app:
        handle = await app.start(parent, run_id="parent")
        await app.story.state(CHILD, RunState.WAITING)
        await (await app.get(CHILD)).cancel()
        assert await handle.result() == "RunCancelled"


async def test_a_blocked_child_that_is_cancelled_tells_its_parent_too(database):
    @step
    async def old() -> None: ...

    @step
    async def new() -> None: ...

    called = old

    @workflow
    async def child() -> None:
        await called()
        await ask_human("Go on?")

    @workflow
    async def parent() -> str:
        try:
            await child()
        except StepFailed as failure:
            return failure.error.type
        return "unreachable"

    async with app_on(database, parent, child) as app:
        await app.start(parent, run_id="parent")
        await app.story.state(CHILD, RunState.WAITING)
        (review,) = await app.reviews.list()
    called = new
    async with app_on(database, parent, child) as app:
        from podium import DecisionVerdict

        await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"yes"')
        await app.story.state(CHILD, RunState.BLOCKED)
        await (await app.get(CHILD)).cancel()
        assert await (await app.get("parent")).result() == "RunCancelled"


async def test_a_family_goes_on_after_a_restart(database):
    gate = asyncio.Event()
    executed = []

    @step
    async def work(i: int) -> int:
        executed.append(i)
        if i == 2:
            await gate.wait()
        return i

    @workflow
    async def child(i: int) -> int:
        return await work(i)

    @workflow
    async def parent() -> list[int]:
        return list(await gather(child(1), child(2)))

    async with app_on(database, parent, child) as app:
        await app.start(parent, run_id="parent")
        await app.story.state(child_run_id(PARENT, "0.1:child#1"), RunState.COMPLETED)
        await until(lambda: 2 in executed)
    gate.set()
    async with app_on(database, parent, child) as app:
        assert await (await app.get("parent")).result() == [1, 2]
    assert sorted(executed) == [1, 2, 2]


async def test_idle_waits_for_what_a_child_has_just_told_its_parent(database):
    @workflow
    async def parent() -> int:
        return (await child(1))["doubled"]

    async with app_on(database, parent, child) as app:
        for i in range(20):
            await app.start(parent, run_id=f"parent {i}")
            await app.idle()
            assert (await app.runs.get(f"parent {i}")).state is RunState.COMPLETED
