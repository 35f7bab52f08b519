"""The same done to many runs: all of them, each once, whatever the others do meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from podium import InvalidInput, RunState, StorageUnavailable, UnknownRun, sleep, workflow
from podium.app.bulk import BULK_VERBS, CANCEL, PAGE, BulkResult, for_all
from podium.app.database import open_database
from podium.app.runs import Runs
from podium.domain.states import TERMINAL_RUN_STATES
from tests.support.apps import App, all_are, app_on, until


@workflow
async def park(i: int) -> None:
    await sleep(3600)


@workflow
async def quick(i: int) -> int:
    return i


async def parked(app: App, count: int) -> None:
    await asyncio.gather(*(app.start(park, i, run_id=f"r{i:03}") for i in range(count)))
    await until(lambda: all_are(app, RunState.WAITING, count))


async def test_every_run_that_matches_is_cancelled_page_by_page(database):
    count = 2 * PAGE + 1
    told: list[int] = []
    async with app_on(database, park) as app:
        await parked(app, count)
        result = await for_all(app.runs, CANCEL, "workflow:park", lambda result: told.append(result.done))
        assert result == BulkResult("cancel", done=count)
        assert told == [PAGE, 2 * PAGE, count]
        await until(lambda: all_are(app, RunState.CANCELLED, count))


async def test_only_runs_in_a_state_that_takes_it_are_asked(database):
    async with app_on(database, park, quick) as app:
        await app.run(quick, 1, run_id="done")
        await parked_beside(app)
        assert CANCEL.states == frozenset(RunState) - TERMINAL_RUN_STATES
        result = await for_all(app.runs, CANCEL, "")
        assert (result.done, result.left_alone) == (1, 0)
        await app.story.state("r", RunState.CANCELLED)
        assert (await app.runs.get("done")).state is RunState.COMPLETED


async def parked_beside(app: App) -> None:
    await app.start(park, 1, run_id="r")
    await app.story.state("r", RunState.WAITING)


async def test_runs_that_change_meanwhile_are_left_alone_and_counted_with_their_reasons(database):
    async with app_on(database, park) as app:
        await parked(app, 12)
        asked: list[str] = []

        async def racing(runs: Runs, run_id: str) -> None:
            asked.append(run_id)
            if run_id == "r011":
                # Others end, and new ones come, while this goes on.
                await app.start(park, 1, run_id="newcomer")
            if run_id == "r003":
                raise UnknownRun("there is no run 'r003' any more")
            if int(run_id[1:]) % 2:
                await runs.cancel(run_id)
                await app.story.state(run_id, RunState.CANCELLED)
                await runs.cancel(run_id)

        result = await for_all(app.runs, replace(CANCEL, act=racing), "workflow:park")
        assert sorted(asked) == [f"r{i:03}" for i in range(12)]
        assert (result.done, result.left_alone) == (6, 6)
        assert len(result.reasons) == 5
        assert all("cancelled already" in why or "any more" in why for why in result.reasons.values())


async def test_runs_are_paused_resumed_and_retried_by_filter(database):
    working = False

    @workflow
    async def fails(i: int) -> int:
        if not working:
            raise ValueError("not yet")
        return i

    async with app_on(database, park, fails) as app:
        await parked(app, 3)
        for name, state, after in (("pause", "paused", "waiting"), ("resume", "waiting", "paused")):
            result = await for_all(app.runs, BULK_VERBS[name], "workflow:park")
            assert result == BulkResult(name, done=3)
            await until(partial(_counted, app, f"state:{state}", 3))
            assert await app.runs.count(f"state:{after}") == 0
        for i in range(3):
            await app.start(fails, i, run_id=f"f{i}", attributes={"odd": i % 2 == 1})
        await until(lambda: _counted(app, "state:failed", 3))
        working = True
        assert (await for_all(app.runs, BULK_VERBS["retry"], "attr.odd=false")).done == 2
        await until(lambda: _counted(app, "state:completed", 2))
        assert [run.id for run in await app.list("state:failed")] == ["f1"]


async def test_it_works_beside_the_process_that_owns_the_database(database):
    async with app_on(database, park) as app:
        await parked(app, 30)
        async with open_database(database) as beside:
            result = await for_all(beside.runs, CANCEL, "id:r01")
        assert result.done == 10
        await until(lambda: _counted(app, "state:cancelled", 10))
        assert await app.runs.count("state:waiting") == 20


async def _counted(app: App, filter: str, count: int) -> bool:
    return await app.runs.count(filter) == count


async def test_what_goes_wrong_with_the_database_is_raised(database):
    async def broken(runs: Runs, run_id: str) -> None:
        raise StorageUnavailable("the disk is full")

    async with app_on(database, park) as app:
        await parked(app, 3)
        with pytest.raises(StorageUnavailable, match="the disk is full"):
            await for_all(app.runs, replace(CANCEL, act=broken), "workflow:park")
        with pytest.raises(InvalidInput, match="no field 'flow'"):
            await for_all(app.runs, CANCEL, "flow:park")
    assert BULK_VERBS["cancel"] is CANCEL
