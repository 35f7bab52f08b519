"""Starting runs: what is acknowledged, under which id, and what the same id means the second time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podium import (
    InvalidInput,
    NotSerialisable,
    Podium,
    RunState,
    StateConflict,
    UnknownRun,
    sleep,
    step,
    workflow,
)
from podium.domain.happenings import Happening
from podium.domain.ids import MAX_RUN_ID
from tests.support.apps import app_on


@workflow
async def double(i: int) -> int:
    return 2 * i


@workflow
async def shout(text: str) -> str:
    return text.upper()


async def test_a_run_is_started_waited_for_and_found_again(database):
    async with app_on(database, double) as app:
        handle = await app.start(double, 21)
        assert await handle.result() == 42
        assert await app.run(double, i=5) == 10
        again = await app.get(handle.id)
        assert await again.result() == 42
        assert await again.status() is RunState.COMPLETED


async def test_ids_that_are_made_sort_by_time_and_differ(database):
    async with app_on(database, double) as app:
        ids = [(await app.start(double, i)).id for i in range(3)]
        many = {handle.id for handle in await asyncio.gather(*[app.start(double, i) for i in range(100)])}
    assert len(set(ids) | many) == 103
    assert max(ids)[:11] <= min(many)[:11]


async def test_the_same_id_again_is_the_same_run(database):
    executed = []

    @step
    async def work(i: int) -> int:
        executed.append(i)
        return i

    @workflow
    async def once(i: int) -> int:
        return await work(i)

    async with app_on(database, once) as app:
        handles = await asyncio.gather(*[app.start(once, i, run_id="ticket-42") for i in range(20)])
        results = {await handle.result() for handle in handles}
        assert await app.run(once, 99, run_id="ticket-42") in results
    async with app_on(database, once) as app:
        assert await app.run(once, 100, run_id="ticket-42") in results
    assert len(executed) == len(results) == 1


async def test_the_same_id_for_another_workflow_is_a_conflict(database):
    async with app_on(database, double, shout) as app:
        await app.run(double, 1, run_id="r")
        with pytest.raises(StateConflict, match="run id 'r' belongs to a run of workflow 'double'"):
            await app.start(shout, "a", run_id="r")


@pytest.mark.parametrize("run_id", ["", "a\nb", "\x00", "a" * (MAX_RUN_ID + 1), "\x1b[31m"])
async def test_an_id_that_is_none_is_refused(database, run_id):
    async with app_on(database, double) as app:
        with pytest.raises(
            InvalidInput, match="cannot be a run id: it must be 1 to 200 printable characters"
        ):
            await app.start(double, 1, run_id=run_id)
        assert not await app.list()


@pytest.mark.parametrize("run_id", ["ticket-42", "a" * MAX_RUN_ID, "naïve 🎈", "a/b:c#d", "' OR 1=1 --", "%"])
async def test_an_id_may_be_any_printable_text(database, run_id):
    async with app_on(database, double) as app:
        assert await app.run(double, 2, run_id=run_id) == 4
        assert (await app.get(run_id)).id == run_id


async def test_arguments_that_do_not_fit_start_nothing(database):
    async with app_on(database, double) as app:
        with pytest.raises(NotSerialisable, match="i does not fit the declared type int"):
            await app.start(double, "many")
        with pytest.raises(InvalidInput, match="was called with arguments that it does not take"):
            await app.start(double, 1, 2)
        with pytest.raises(InvalidInput, match="was called with arguments that it does not take"):
            await app.start(double)
        assert not await app.list()


async def test_a_workflow_that_was_not_given_cannot_be_started(database):
    @workflow(name="double")
    async def another(i: int) -> int:
        return i

    @workflow
    async def halve(i: int) -> int:
        return i // 2

    async with app_on(database, double) as app:
        for unknown in (halve, another):
            with pytest.raises(
                InvalidInput, match=r"is not known here: add it to Podium\(\.\.\., workflows="
            ):
                await app.start(unknown, 1)


async def test_what_is_no_workflow_or_shares_a_name_is_refused_at_once(database):
    @workflow(name="double")
    async def another() -> None: ...

    with pytest.raises(InvalidInput, match="two workflows are called 'double'"):
        Podium(database, workflows=[double, another])
    with pytest.raises(InvalidInput, match="is no workflow; decorate it with @workflow"):
        Podium(database, workflows=[double.function])  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="engine 'other' is not known"):
        Podium(database, engine="other")


async def test_a_run_that_is_not_there_is_unknown(database):
    async with app_on(database, double) as app:
        with pytest.raises(UnknownRun, match="there is no run 'nowhere'"):
            await app.get("nowhere")


async def test_a_caller_who_gives_up_leaves_no_run_behind_that_nobody_works_on(database):
    async with app_on(database, double) as app:
        for i in range(30):
            starting = asyncio.create_task(app.start(double, i, run_id=f"r{i}"))
            for _ in range(i % 6):
                await asyncio.sleep(0)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        # Whatever has come of them by now is on disk, and worked on.
        stored = {run.id for run in await app.list(limit=100)}
        for run_id in stored:
            await app.story.state(run_id, RunState.COMPLETED)


async def test_results_may_be_waited_for_in_any_number_and_given_up_after_a_while(database):
    free = asyncio.Event()

    @step
    async def work() -> str:
        await free.wait()
        return "done"

    @workflow
    async def slow() -> str:
        return await work()

    async with app_on(database, slow) as app:
        handle = await app.start(slow)
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0.01)
        await app.story.state(handle.id, RunState.RUNNING)
        assert await handle.status() is RunState.RUNNING
        waiting = [asyncio.create_task(handle.result()) for _ in range(5)]
        await asyncio.sleep(0)
        free.set()
        assert await asyncio.gather(*waiting) == ["done"] * 5
        assert not app._engine.waiters._waiting


async def test_runs_are_listed_newest_first_by_state_and_workflow(database):
    @workflow
    async def parks() -> None:
        await sleep(3600)

    async with app_on(database, double, shout, parks) as app:
        for i in range(3):
            await app.run(double, i, run_id=f"double-{i}")
        await app.run(shout, "x", run_id="shout")
        await app.start(parks, run_id="parks")
        await app.story.state("parks", RunState.WAITING)
        assert [run.id for run in await app.list()] == ["parks", "shout", "double-2", "double-1", "double-0"]
        assert [run.id for run in await app.list(workflow="double", limit=2)] == ["double-2", "double-1"]
        assert [run.id for run in await app.list(states={RunState.WAITING})] == ["parks"]


async def test_only_one_run_may_be_worked_on_with_its_children(database):
    @workflow
    async def child() -> int:
        return 1

    @workflow
    async def parent() -> int:
        return await child()

    async with app_on(database, parent, child, max_active_runs=1) as app:
        free = asyncio.Event()
        await app.start(parent, run_id="mine")
        await app.start(parent, run_id="other")
        free.set()
    from podium.domain.ids import RunId

    async with app_on(database, parent, child, only=RunId("mine")) as app:
        await app.idle()
        assert (await app.runs.get("mine")).state is RunState.COMPLETED
        assert not app.story.moves("other")


async def test_a_listener_that_fails_disturbs_no_run(database, caplog):
    def fails(happening) -> None:
        raise RuntimeError("a fault in a display")

    async with app_on(database, double) as app:
        app.subscribe(fails)
        assert await app.run(double, 4) == 8
    assert "a fault in a display" in caplog.text


async def test_happenings_are_told_after_they_are_on_disk(database):
    import sqlite3

    @step
    async def work() -> None: ...

    @workflow
    async def one() -> None:
        await work()

    missing: list[Happening] = []

    def check(happening) -> None:
        if hasattr(happening, "entry"):
            query, parameters = "SELECT count(*) FROM journal WHERE seq = ?", (happening.entry.seq,)
        else:
            # A later move may be on disk as well by now.
            query, parameters = "SELECT count(*) FROM runs WHERE started_at >= ?", (0,)
        if reader.execute(query, parameters).fetchone()[0] == 0:
            missing.append(happening)

    reader = sqlite3.connect(database)
    async with app_on(database, one) as app:
        app.subscribe(check)
        await app.run(one)
    reader.close()
    assert not missing
    assert len(app.story.happenings) == 3


async def test_an_app_may_be_entered_again(database):
    app = app_on(database, double)
    for i in range(2):
        async with app:
            assert await app.run(double, i) == 2 * i


@pytest.mark.parametrize(("levels", "most"), [(200, None), (201, "200"), (202, "201"), (240, "201")])
async def test_input_that_is_nested_too_deeply_to_be_read_back_is_refused_at_the_start(
    database, levels, most
):
    @workflow
    async def takes(value: dict[str, Any]) -> int:
        return len(value)

    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    async with app_on(database, takes) as app:
        if most is None:
            assert await app.run(takes, value) == 1
            return
        with pytest.raises(NotSerialisable, match=f"nested more than {most} levels deep"):
            await app.start(takes, value)
        assert await app.list() == []
