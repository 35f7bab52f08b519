"""Runs that live long: going on as new, patches, versions, children that go on beside."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podium import (
    DecisionVerdict,
    InvalidInput,
    NotInRun,
    Podium,
    RunBlocked,
    RunFailed,
    RunState,
    ask_human,
    continue_as_new,
    current_step,
    patched,
    sleep,
    step,
    wait_for_event,
    workflow,
)
from podium.flow.workflows import Workflow
from tests.support.apps import app_on, outcomes, until

keys: list[str] = []
calls: list[str] = []


@pytest.fixture(autouse=True)
def _fresh_world():
    keys.clear()
    calls.clear()


@step
async def count(n: int) -> int:
    keys.append(current_step().idempotency_key)
    return n + 1


@step
async def work(name: str) -> str:
    calls.append(name)
    return name.upper()


class TestGoingOnAsNew:
    async def test_the_journal_stays_short_and_the_run_is_the_same(self, database):
        @workflow
        async def counts(n: int, until: int) -> int:
            for _ in range(10):
                n = await count(n)
            if n < until:
                continue_as_new(n, until=until)
            return n

        async with app_on(database, counts) as app:
            run = await app.start(counts, 0, 100, run_id="r")
            assert await run.result() == 100
            stored = await app.runs.get("r")
            assert stored.generation == 9
            assert len(outcomes(await app.journal("r"))) == 10
        assert len(set(keys)) == 100

    async def test_events_that_were_not_taken_are_kept(self, database):
        @workflow
        async def collects(got: list[int]) -> list[int]:
            got = [*got, await wait_for_event("n", int)]
            if len(got) < 5:
                continue_as_new(got)
            return got

        async with app_on(database, collects) as app:
            run = await app.start(collects, [])
            for n in range(5):
                await run.send_event("n", n)
            assert await run.result() == [0, 1, 2, 3, 4]

    async def test_it_survives_restarts(self, database):
        @workflow
        async def slow(n: int) -> int:
            n = await count(n)
            await wait_for_event("go")
            if n < 3:
                continue_as_new(n)
            return n

        async with app_on(database, slow) as app:
            await app.start(slow, 0, run_id="r")
            await app.story.state("r", RunState.WAITING)
        for _ in range(3):
            async with app_on(database, slow) as app:
                await app.send_event("r", "go")
                await app.idle()
        async with app_on(database, slow) as app:
            assert await (await app.get("r")).result() == 3
        assert len(keys) == 3

    async def test_what_is_open_is_given_up_and_opened_anew(self, database):
        @workflow
        async def asks(n: int) -> str:
            task = asyncio.create_task(ask_human(f"question {n}"))
            await sleep(0)
            await wait_for_event("go")
            if n < 2:
                continue_as_new(n + 1)
            return (await task).value or ""

        async with app_on(database, asks) as app:
            run = await app.start(asks, 1, run_id="r")
            await app.story.state("r", RunState.WAITING)
            await run.send_event("go")
            await run.send_event("go")
            await until(lambda: _open_review(app))
            (review,) = [
                review for review in await app.reviews.list() if review.draft.subject == "question 2"
            ]
            await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"yes"')
            app.look()
            assert await run.result() == "yes"

    async def test_arguments_that_do_not_fit_fail_the_run(self, database):
        @workflow
        async def wrong() -> None:
            continue_as_new(1, 2)

        async with app_on(database, wrong) as app:
            with pytest.raises(RunFailed, match="arguments that it does not take"):
                await app.run(wrong)

    async def test_random_numbers_are_others_in_each_generation(self, database):
        from podium import random

        @workflow
        async def draws(drawn: list[float]) -> list[float]:
            drawn = [*drawn, random()]
            if len(drawn) < 3:
                continue_as_new(drawn)
            return drawn

        async with app_on(database, draws) as app:
            drawn: list[float] = await app.run(draws, [])
            assert len(set(drawn)) == 3

    def test_outside_a_run_there_is_nothing_to_go_on(self):
        with pytest.raises(NotInRun):
            continue_as_new()


async def _open_review(app: Podium) -> bool:
    return any(review.draft.subject == "question 2" for review in await app.reviews.list())


def variants(*codes: Any, name: str = "desk", versions: tuple[str, ...] = ()) -> list[Workflow[Any, Any]]:
    return [
        Workflow(code, name, None, version)
        for code, version in zip(codes, versions or [""] * len(codes), strict=True)
    ]


class TestPatches:
    async def test_runs_under_way_keep_to_the_old_code_and_new_ones_take_the_new(self, database):
        async def old() -> str:
            first = await work("old")
            return f"{first} {await wait_for_event('go', str)}"

        async def new() -> str:
            first = await work("new") if patched("better") else await work("old")
            return f"{first} {await wait_for_event('go', str)}"

        (before,), (after,) = variants(old), variants(new)
        async with app_on(database, before) as app:
            await app.start(before, run_id="begun")
            await app.story.state("begun", RunState.WAITING)
        async with app_on(database, after) as app:
            await app.start(after, run_id="fresh")
            await app.story.state("fresh", RunState.WAITING)
        async with app_on(database, after) as app:
            for run_id, expected in (("begun", "OLD x"), ("fresh", "NEW x")):
                await app.send_event(run_id, "go", "x")
                assert await (await app.get(run_id)).result() == expected

    async def test_a_run_that_has_not_come_there_yet_takes_the_new_code(self, database):
        async def old() -> str:
            await wait_for_event("go")
            return await work("old")

        async def new() -> str:
            await wait_for_event("go")
            return await work("new") if patched("better") else await work("old")

        (before,), (after,) = variants(old), variants(new)
        async with app_on(database, before) as app:
            await app.start(before, run_id="r")
            await app.story.state("r", RunState.WAITING)
        async with app_on(database, after) as app:
            await app.send_event("r", "go")
            assert await (await app.get("r")).result(timeout=20) == "NEW"
            assert [entry.type for entry in await app.journal("r")] == ["done", "patch", "done"]

    async def test_a_run_that_goes_on_as_new_takes_the_new_code_from_the_beginning(self, database):
        async def old(n: int) -> str:
            await wait_for_event("go")
            if n == 0:
                continue_as_new(1)
            return await work("old")

        async def new(n: int) -> str:
            if patched("better"):
                return await work("new")
            return await old(n)

        (before,), (after,) = variants(old), variants(new)
        async with app_on(database, before) as app:
            await app.start(before, 0, run_id="r")
            await app.story.state("r", RunState.WAITING)
        async with app_on(database, after) as app:
            await app.send_event("r", "go")
            assert await (await app.get("r")).result(timeout=20) == "NEW"

    async def test_a_generation_that_had_begun_keeps_to_the_old_code(self, database):
        async def old(n: int) -> str:
            if n == 0:
                continue_as_new(1)
            await wait_for_event("go")
            return await work("old")

        async def new(n: int) -> str:
            if patched("better"):
                return await work("new")
            return await old(n)

        (before,), (after,) = variants(old), variants(new)
        async with app_on(database, before) as app:
            await app.start(before, 0, run_id="r")
            await app.story.state("r", RunState.WAITING)
        async with app_on(database, after) as app:
            await app.send_event("r", "go")
            assert await (await app.get("r")).result(timeout=20) == "OLD"

    async def test_a_review_that_is_open_is_not_patched_away(self, database):
        async def old() -> str:
            return (await ask_human("May I?")).value or ""

        async def new() -> str:
            return (
                await work("never asked") if patched("no-review") else (await ask_human("May I?")).value or ""
            )

        (before,), (after,) = variants(old), variants(new)
        async with app_on(database, before) as app:
            await app.start(before, run_id="r")
            await app.story.state("r", RunState.WAITING)
        async with app_on(database, after) as app:
            (review,) = await app.reviews.list()
            await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"yes"')
            app.look()
            assert await (await app.get("r")).result() == "yes"


class TestVersions:
    async def test_a_run_stays_with_its_version(self, database):
        async def first() -> str:
            return f"{await work('one')} {await wait_for_event('go', str)}"

        async def second() -> str:
            return f"{await work('two')} {await wait_for_event('go', str)}"

        one, two = variants(first, second, versions=("1", "2"))
        async with app_on(database, one) as app:
            await app.start(one, run_id="old")
            await app.story.state("old", RunState.WAITING)
        async with app_on(database, one, two) as app:
            await app.start(two, run_id="new")
            for run_id, expected in (("old", "ONE x"), ("new", "TWO x")):
                await app.send_event(run_id, "go", "x")
                assert await (await app.get(run_id)).result() == expected
                assert (await app.runs.get(run_id)).version == ("1" if run_id == "old" else "2")

    async def test_without_its_version_a_run_is_left_as_it_is(self, database):
        async def first() -> str:
            return str(await wait_for_event("go", str))

        one, two = variants(first, first, versions=("1", "2"))
        async with app_on(database, one) as app:
            await app.start(one, run_id="old")
            await app.story.state("old", RunState.WAITING)
        async with app_on(database, two) as app:
            with pytest.raises(InvalidInput, match="version '1'"):
                await app.get("old")
            assert (await app.runs.get("old")).state is RunState.WAITING
        async with app_on(database, one, two) as app:
            await app.send_event("old", "go", "x")
            assert await (await app.get("old")).result() == "x"

    async def test_a_child_is_of_the_version_that_is_listed_last(self, database):
        async def first() -> str:
            return "one"

        async def second() -> str:
            return "two"

        one, two = variants(first, second, name="child", versions=("1", "2"))

        @workflow
        async def parent() -> str:
            return str(await one())

        async with app_on(database, parent, one, two) as app:
            assert await app.run(parent) == "two"

    def test_two_of_the_same_version_are_refused(self, database):
        async def first() -> None: ...

        with pytest.raises(InvalidInput, match="in version '1'"):
            app_on(database, *variants(first, first, versions=("1", "1")))


async def test_a_changed_run_can_be_retried_once_its_code_is_restored(database):
    async def old() -> str:
        first = await work("a")
        return f"{first} {await wait_for_event('go', str)}"

    async def changed() -> str:
        return await work("b")

    (before,), (after,) = variants(old), variants(changed)
    async with app_on(database, before) as app:
        await app.start(before, run_id="r")
        await app.story.state("r", RunState.WAITING)
        await app.send_event("r", "go", "x")
    async with app_on(database, after) as app:
        with pytest.raises(RunBlocked, match=r"patched\(\)"):
            await (await app.get("r")).result()
    async with app_on(database, before) as app:
        run = await app.get("r")
        await run.retry()
        assert await run.result() == "A x"


async def test_open_runs_are_counted_by_workflow_and_version(database):
    async def first() -> None:
        await wait_for_event("go")

    one, two = variants(first, first, versions=("1", "2"))
    async with app_on(database, one, two) as app:
        await app.start(one, run_id="old")
        await app.story.state("old", RunState.WAITING)
        assert await app.runs.open_by_version() == {("desk", "1"): 1}
        await app.send_event("old", "go")
        await app.story.state("old", RunState.COMPLETED)
        assert await app.runs.open_by_version() == {}
