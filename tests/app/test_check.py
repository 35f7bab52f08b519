"""Code is checked against the runs that are under way: each is replayed, nothing is done."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from podium import (
    DecisionVerdict,
    RunFailed,
    RunState,
    ask_human,
    continue_as_new,
    gather,
    patched,
    sleep,
    spawn,
    step,
    wait_for_event,
    workflow,
)
from podium.app.check import CheckedRun, Findings, checked_runs
from podium.domain.ids import RunId
from podium.flow.fitting import Misfit, MisfitKind
from podium.flow.workflows import Workflow
from tests.support.apps import App, app_on, some
from tests.support.world import work, world


@pytest.fixture(autouse=True)
def _fresh_world():
    world.reset()


def desk(code: Any, version: str = "") -> Workflow[Any, Any]:
    return Workflow(code, "desk", None, version)


async def waits() -> str:
    first = await work("a")
    second = await work("b")
    return f"{first}{second}{await wait_for_event('go', str)}"


async def begun(database: Path, *runs: str, code: Any = waits, version: str = "", more: Iterable[Any] = ()):
    """Start runs of `code` and leave them waiting."""
    one = desk(code, version)
    async with app_on(database, one, *more) as app:
        for run in runs:
            await app.start(one, run_id=run)
            await app.story.state(run, RunState.WAITING)
    world.calls.clear()


async def checked(database: Path, *workflows: Workflow[Any, Any], **options: Any) -> list[CheckedRun]:
    return [run async for run in checked_runs(database, workflows, **options)]


async def misfit(database: Path, *workflows: Workflow[Any, Any], **options: Any) -> Misfit:
    (only,) = await checked(database, *workflows, **options)
    return some(only.misfit)


class TestWhatFits:
    async def test_the_same_code_fits_and_no_step_is_executed(self, database):
        await begun(database, "r", "s")
        runs = await checked(database, desk(waits))
        assert [(run.run, run.state, run.misfit) for run in runs] == [
            ("r", RunState.WAITING, None),
            ("s", RunState.WAITING, None),
        ]
        assert world.calls == []

    async def test_a_guarded_change_fits(self, database):
        async def guarded() -> str:
            if patched("new"):
                await work("new")
            return await waits()

        await begun(database, "r")
        assert [run.misfit for run in await checked(database, desk(guarded))] == [None]

    async def test_a_change_behind_the_place_where_the_run_waits_fits(self, database):
        async def longer() -> str:
            return await work(await waits())

        await begun(database, "r")
        assert [run.misfit for run in await checked(database, desk(longer))] == [None]

    async def test_runs_that_have_ended_and_those_of_other_workflows_are_not_looked_at(self, database):
        @workflow
        async def other() -> None:
            await wait_for_event("go")

        async with app_on(database, desk(waits), other) as app:
            await app.start(desk_of(app), run_id="r")
            await app.start(other, run_id="other")
            await app.send_event("r", "go", "x")
            await app.story.state("r", RunState.COMPLETED)
            await app.story.state("other", RunState.WAITING)
        assert await checked(database, desk(waits)) == []

    async def test_a_blocked_run_that_the_code_fits_again_is_told_apart(self, database):
        async def changed() -> str:
            return await work("x")

        await begun(database, "r")
        async with app_on(database, desk(changed)) as app:
            await app.send_event("r", "go", "x")
            await app.story.state("r", RunState.BLOCKED)
        findings = Findings()
        for run in await checked(database, desk(waits)):
            findings.add(run)
        assert dict(findings.fitting) == {RunState.BLOCKED: 1}

    async def test_nothing_is_written_and_an_owner_may_be_at_work(self, database):
        async with app_on(database, desk(waits)) as app:
            await app.start(desk_of(app), run_id="r")
            await app.story.state("r", RunState.WAITING)
            before = _version(database)
            assert [run.misfit for run in await checked(database, desk(waits))] == [None]
            assert _version(database) == before


def desk_of(app: App) -> Workflow[Any, Any]:
    found = app._workflows.current("desk")
    assert found is not None
    return found


def _version(database: Path) -> list[Any]:
    with closing(sqlite3.connect(database)) as conn:
        tables = [row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [conn.execute(f"SELECT * FROM {table}").fetchall() for table in sorted(tables)]


class TestWhatWouldBlock:
    async def test_another_step_is_named_on_both_sides_with_the_line(self, database):
        async def changed() -> str:
            await work("a")
            return str(await wait_for_event("other"))

        await begun(database, "r")
        found = await misfit(database, desk(changed))
        assert (found.kind, found.key, found.entry) == (MisfitKind.CHANGED, "0:work#2", 2)
        assert (found.recorded, found.asks) == ("step 0:work#2", "event 0:other#1")
        line = changed.__code__.co_firstlineno + 2
        assert found.where == (f"test_check.py:{line}",)

    async def test_other_arguments_are_named(self, database):
        async def changed() -> str:
            return str(await gather(work("a"), work("c")))

        async def before() -> str:
            return f"{await gather(work('a'), work('b'))} {await wait_for_event('go')}"

        await begun(database, "r", code=before)
        found = await misfit(database, desk(changed))
        assert (found.kind, found.key) == (MisfitKind.CHANGED, "0.2:work#1")
        assert "with other arguments" in found.asks
        assert found.where[0].startswith("test_check.py:")

    async def test_code_that_ends_early(self, database):
        async def short() -> str:
            return await work("a")

        await begun(database, "r")
        assert (await misfit(database, desk(short))).asks == "nothing more: it has ended"

    async def test_a_recorded_value_that_does_not_fit_its_type_any_more(self, database):
        class Old(BaseModel):
            name: str

        class New(BaseModel):
            name: int

        @step(name="gives")
        async def gives_old() -> Old:
            return Old(name="Ada")

        @step(name="gives")
        async def gives_new() -> New:
            return New(name=1)

        async def before() -> str:
            return f"{await gives_old()} {await wait_for_event('go')}"

        async def after() -> str:
            return f"{await gives_new()} {await wait_for_event('go')}"

        await begun(database, "r", code=before)
        found = await misfit(database, desk(after))
        assert (found.kind, found.key, found.entry) == (MisfitKind.VALUE, "0:gives#1", 1)
        assert "validation error" in found.asks

    async def test_an_input_that_does_not_fit_any_more(self, database):
        async def takes(name: str) -> str:
            return f"{name} {await wait_for_event('go')}"

        async def takes_a_number(name: int) -> str:
            return f"{name} {await wait_for_event('go')}"

        async with app_on(database, desk(takes)) as app:
            await app.start(desk_of(app), "Ada", run_id="r")
            await app.story.state("r", RunState.WAITING)
        found = await misfit(database, desk(takes_a_number))
        assert (found.kind, found.recorded) == (MisfitKind.VALUE, "the input")
        assert "name" in found.asks

    async def test_a_version_that_is_not_in_the_file(self, database):
        await begun(database, "r", version="1")
        found = await misfit(database, desk(waits, "2"))
        assert found.kind is MisfitKind.VERSION
        assert "version '1' of workflow 'desk'" in found.recorded
        assert [run.misfit for run in await checked(database, desk(waits, "1"), desk(waits, "2"))] == [None]

    async def test_code_that_fails_at_once(self, database):
        async def fragile() -> str:
            await work("a")
            await work("b")
            raise KeyError("oh")

        await begun(database, "r")
        found = await misfit(database, desk(fragile))
        assert (found.kind, found.asks) == (MisfitKind.FAILS, "KeyError: 'oh'")
        assert found.where[0].startswith("test_check.py:")

    async def test_code_that_loops_for_ever_is_given_up(self, database):
        async def loops() -> None:
            while True:
                await asyncio.sleep(0) if world.broken else None

        await begun(database, "r", "s")
        runs = await checked(database, desk(loops), seconds=0.05)
        assert [some(run.misfit).kind for run in runs] == [MisfitKind.ENDLESS] * 2


class TestWhatWouldBeLeftBehind:
    async def test_a_review_that_the_code_no_longer_asks_for(self, database):
        async def asks() -> str:
            return (await ask_human("May I?")).value or ""

        async def does_not() -> str:
            return str(await wait_for_event("go"))

        await begun(database, "r", code=asks)
        found = await misfit(database, desk(does_not))
        assert (found.kind, found.key) == (MisfitKind.ORPHAN, "0:review#1")
        assert found.recorded.startswith("review ")
        assert [run.misfit for run in await checked(database, desk(asks))] == [None]

    async def test_a_decision_that_has_come_already(self, database):
        async def asks() -> str:
            return (await ask_human("May I?")).value or ""

        async def does_not() -> str:
            return str(await wait_for_event("go"))

        from podium.app.database import open_database

        await begun(database, "r", code=asks)
        async with open_database(database) as opened:
            (review,) = await opened.reviews.list()
            await opened.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"yes"')
        assert (await misfit(database, desk(does_not))).recorded == f"the decision of review {review.id}"

    async def test_a_child_run_that_the_code_no_longer_starts(self, database):
        @workflow
        async def child() -> None:
            await wait_for_event("end")

        async def starts() -> None:
            await spawn(child)
            await wait_for_event("go")

        async def does_not() -> None:
            await wait_for_event("go")

        async with app_on(database, desk(starts), child) as app:
            await app.start(desk_of(app), run_id="r")
            await app.story.state("r", RunState.WAITING)
            (stored,) = await app.list(workflow="child")
            await app.story.state(stored.id, RunState.WAITING)
        found = await misfit(database, desk(does_not))
        assert (found.kind, found.recorded) == (MisfitKind.ORPHAN, f"child run {stored.id}")
        assert [run.misfit for run in await checked(database, desk(starts), child)] == [None, None]

    async def test_a_child_of_an_earlier_generation_is_no_concern(self, database):
        @workflow
        async def child() -> None:
            await wait_for_event("end")

        async def starts(first: bool = True) -> None:
            if first:
                await spawn(child, on_parent_end="abandon")
                await sleep(0)
                continue_as_new(False)
            await wait_for_event("go")

        await begun(database, "r", code=starts, more=[child])
        assert [run.misfit for run in await checked(database, desk(starts))] == [None]


class TestFailedRuns:
    async def test_they_are_looked_at_when_asked_for_and_fit_when_they_can_be_retried(self, database):
        async def fails() -> str:
            return await work(await work("a"))

        async def other_arguments() -> str:
            return await work(await work("z"))

        world.broken = {"A"}
        async with app_on(database, desk(fails)) as app:
            run = await app.start(desk_of(app), run_id="r")
            with pytest.raises(RunFailed):
                await run.result()
        assert await checked(database, desk(fails)) == []
        assert [run.misfit for run in await checked(database, desk(fails), with_failed=True)] == [None]
        found = await misfit(database, desk(other_arguments), with_failed=True)
        assert (found.kind, found.key) == (MisfitKind.CHANGED, "0:work#1")


class TestFindings:
    def test_the_same_problem_is_told_once_and_few_runs_are_remembered(self):
        findings = Findings()
        for n in range(1000):
            changed = Misfit(
                MisfitKind.CHANGED, f"step 0:a#{n}", "step 0:b#1", f"0:a#{n}", n, about="step a: step b"
            )
            findings.add(CheckedRun(RunId(f"r{n}"), "desk", "", RunState.WAITING, changed))
        (group,) = findings.groups
        assert (group.count, len(group.runs), findings.broken) == (1000, 20, 1000)
        assert some(group.example.misfit).entry == 0

    def test_there_is_an_end_to_the_reasons_that_are_told(self):
        findings = Findings()
        for n in range(1000):
            odd = Misfit(MisfitKind.VALUE, "the input", about=str(n))
            findings.add(CheckedRun(RunId(f"r{n}"), "desk", "", RunState.WAITING, odd))
        assert len(findings.groups) + findings.ungrouped == 1000
        assert findings.ungrouped > 0
