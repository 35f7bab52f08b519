"""Forking runs: another run shares the beginning of one, and goes its own way."""

from __future__ import annotations

import pytest

from podium import (
    InvalidInput,
    RunFailed,
    RunState,
    workflow,
)
from tests.support.apps import app_on
from tests.support.world import work, world


@pytest.fixture(autouse=True)
def _fresh_world():
    world.reset()


class TestFork:
    async def test_a_fork_shares_what_was_before_and_does_the_rest_anew(self, database):
        @workflow
        async def three() -> list[str]:
            return [await work("a"), await work("b"), await work("c")]

        async with app_on(database, three) as app:
            run = await app.start(three, run_id="r")
            await run.result()
            world.calls.clear()
            fork = await run.fork(at="0:work#2", run_id="f")
            assert await fork.result() == ["A", "B", "C"]
            assert world.calls == ["b", "c"]
            stored = await app.runs.get("f")
            assert stored.forked_from is not None
            assert (stored.forked_from.run, stored.forked_from.key) == ("r", "0:work#2")
            assert await (await app.get("r")).result() == ["A", "B", "C"]

    async def test_values_can_be_replaced(self, database):
        @workflow
        async def chain() -> str:
            first = await work("a")
            return await work(f"{first}!")

        async with app_on(database, chain) as app:
            run = await app.start(chain)
            assert await run.result() == "A!"
            fork = await run.fork(replace={"0:work#1": "other"})
            assert await fork.result() == "OTHER!"
            with pytest.raises(InvalidInput, match="cannot be forked there"):
                await run.fork(replace={"0:work#1": {"no": "text"}})

    async def test_a_failed_run_can_go_another_way(self, database):
        @workflow
        async def chain() -> str:
            return await work(await work("a"))

        world.broken = {"A"}
        async with app_on(database, chain) as app:
            run = await app.start(chain)
            with pytest.raises(RunFailed):
                await run.result()
            fork = await run.fork(replace={"0:work#2": "by hand"})
            assert await fork.result() == "by hand"
            assert await run.status() is RunState.FAILED

    async def test_random_numbers_and_times_of_the_shared_part_are_the_same(self, database):
        from podium import now, random

        @workflow
        async def drawn() -> list[str]:
            before = [str(random()), now().isoformat()]
            await work("a")
            return [*before, await work("b")]

        async with app_on(database, drawn) as app:
            run = await app.start(drawn)
            first = await run.result()
            assert await (await run.fork(at="0:work#2")).result() == first

    async def test_keys_that_are_not_there_are_named(self, database):
        @workflow
        async def one() -> str:
            return await work("a")

        async with app_on(database, one) as app:
            run = await app.start(one, run_id="r")
            await run.result()
            with pytest.raises(InvalidInput, match="Did you mean '0:work#1'"):
                await run.fork(at="0:work#2")
            with pytest.raises(InvalidInput, match="Give the key from which to do things anew, at="):
                await run.fork()
            with pytest.raises(InvalidInput, match="already"):
                await run.fork(at="0:work#1", run_id="r")

    async def test_a_fork_is_taken_up_when_it_was_made_beside_the_owner(self, database):
        from functools import partial

        from podium.app.forks import fork_run
        from podium.flow.catalog import WorkflowCatalog
        from podium.settings import StorageSettings
        from podium.storage.sqlite.database import open_sqlite

        @workflow
        async def two() -> list[str]:
            return [await work("a"), await work("b")]

        async with app_on(database, two) as app:
            run = await app.start(two)
            await run.result()
            beside = await open_sqlite(database, settings=StorageSettings(), own=False)
            fork = partial(fork_run, beside, WorkflowCatalog([two]))
            forked = await fork(run.id, "0:work#2", {}, "beside")
            await beside.close()
            await app.story.state(forked, RunState.COMPLETED)
