"""Retrying failed runs: only what failed is done again."""

from __future__ import annotations

import pytest

from podium import (
    RunFailed,
    RunState,
    StepFailed,
    gather,
    step,
    wait_for_event,
    workflow,
)
from podium.domain.journal import EntryType
from tests.support.apps import app_on
from tests.support.world import slow, work, world


@pytest.fixture(autouse=True)
def _fresh_world():
    world.reset()


class TestRetry:
    async def test_only_what_failed_is_done_again(self, database):
        @workflow
        async def three() -> list[str]:
            return [await work("a"), await work("b"), await work("c")]

        world.broken = {"b"}
        async with app_on(database, three) as app:
            run = await app.start(three, run_id="r")
            with pytest.raises(RunFailed):
                await run.result()
            world.broken = set()
            await run.retry()
            assert await run.result() == ["A", "B", "C"]
            assert world.calls == ["a", "b", "b", "c"]

    async def test_of_branches_only_the_one_that_failed(self, database):
        @workflow
        async def fan_out() -> tuple[str, ...]:
            return await gather(*[work(name) for name in "abcde"])

        world.broken = {"c"}
        async with app_on(database, fan_out) as app:
            run = await app.start(fan_out)
            with pytest.raises(RunFailed):
                await run.result()
            done = list(world.calls)
            world.broken = set()
            await run.retry()
            assert await run.result() == tuple("ABCDE")
            assert done.count("c") == 1
            assert all(world.calls.count(name) <= 2 for name in "abde")
            assert sorted(set(world.calls)) == list("abcde")

    async def test_a_run_that_fails_again_at_once_is_retried_once(self, database):
        @workflow
        async def hopeless() -> None:
            await work("a")
            raise ValueError("always")

        async with app_on(database, hopeless) as app:
            run = await app.start(hopeless, run_id="r")
            for retries in range(3):
                with pytest.raises(RunFailed):
                    await run.result()
                await app.idle()
                types = [entry.type for entry in await app.journal("r")]
                assert types.count(EntryType.RETRY) == retries
                assert await app.inbox_is_empty()
                await run.retry()

    async def test_a_retried_run_survives_a_restart_and_a_second_retry(self, database):
        @workflow
        async def two() -> list[str]:
            return [await work("a"), await work("b"), await wait_for_event("go", str), await work("c")]

        world.broken = {"b"}
        async with app_on(database, two) as app:
            run = await app.start(two, run_id="r")
            with pytest.raises(RunFailed):
                await run.result()
            await run.retry()
            with pytest.raises(RunFailed):
                await run.result()
            world.broken = {"c"}
            await run.retry()
            await app.story.state("r", RunState.WAITING)
        async with app_on(database, two) as app:
            run = await app.get("r")
            await run.send_event("go", "x")
            with pytest.raises(RunFailed):
                await run.result()
            world.broken = set()
            await run.retry()
            assert await run.result() == ["A", "B", "x", "C"]
            assert world.calls == ["a", "b", "b", "b", "c", "c"]

    async def test_the_failures_that_the_code_handled_are_not_tried_again(self, database):
        @workflow
        async def falls_back() -> list[str]:
            try:
                first = await work("a")
            except StepFailed:
                first = await work("fallback")
            return [first, await work("b")]

        world.broken = {"a", "b"}
        async with app_on(database, falls_back) as app:
            run = await app.start(falls_back)
            with pytest.raises(RunFailed):
                await run.result()
            world.broken = set()
            await run.retry()
            assert await run.result() == ["FALLBACK", "B"]
            assert world.calls == ["a", "fallback", "b", "b"]

    async def test_what_was_done_because_of_the_failure_is_done_again_if_it_fails_again(self, database):
        @workflow
        async def cleans() -> str:
            try:
                return await work("a")
            except StepFailed:
                await work("clean-up")
                raise

        world.broken = {"a"}
        async with app_on(database, cleans) as app:
            run = await app.start(cleans)
            for _ in range(2):
                with pytest.raises(RunFailed):
                    await run.result()
                await run.retry()
            with pytest.raises(RunFailed):
                await run.result()
            world.broken = set()
            await run.retry()
            assert await run.result() == "A"
            assert world.calls == ["a", "clean-up"] * 3 + ["a"]

    async def test_a_fault_in_the_workflows_own_code_can_be_mended(self, database):
        faulty = True

        @workflow
        async def fragile() -> list[str]:
            first = await work("a")
            if faulty:
                raise KeyError("oh")
            return [first, await work("b")]

        async with app_on(database, fragile) as app:
            run = await app.start(fragile)
            with pytest.raises(RunFailed):
                await run.result()
            faulty = False
            await run.retry()
            assert await run.result() == ["A", "B"]
            assert world.calls == ["a", "b"]

    async def test_a_run_that_ran_out_of_time_has_its_time_anew(self, database):
        @workflow(timeout=0.5)
        async def hurried() -> list[str]:
            return [await work("a"), await slow("b")]

        async with app_on(database, hurried) as app:
            run = await app.start(hurried)
            with pytest.raises(RunFailed, match="RunTimeout"):
                await run.result()
            world.gate.set()
            await run.retry()
            assert await run.result() == ["A", "B"]
            assert world.calls == ["a", "b", "b"]

    async def test_a_child_that_failed_is_retried_with_its_parent(self, database):
        @workflow
        async def child() -> list[str]:
            return [await work("a"), await work("b")]

        @workflow
        async def parent() -> list[str]:
            return [*await child(), await work("c")]

        world.broken = {"b"}
        async with app_on(database, parent, child) as app:
            run = await app.start(parent)
            with pytest.raises(RunFailed):
                await run.result()
            world.broken = set()
            await run.retry()
            assert await run.result() == ["A", "B", "C"]
            assert world.calls == ["a", "b", "b", "c"]

    async def test_the_step_that_is_tried_again_has_its_idempotency_key_still(self, database):
        from podium import current_step

        keys = []

        @step
        async def keyed() -> None:
            keys.append(current_step().idempotency_key)
            if len(keys) == 1:
                raise ValueError("no")

        @workflow
        async def one() -> None:
            await keyed()

        async with app_on(database, one) as app:
            run = await app.start(one)
            with pytest.raises(RunFailed):
                await run.result()
            await run.retry()
            await run.result()
        assert len(keys) == 2
        assert len(set(keys)) == 1
