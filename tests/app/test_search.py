"""Finding runs: by what they were started with, page by page, counted; and what is refused."""

from __future__ import annotations

import pytest

from podium import InvalidInput, RunState, UnknownRun, set_attributes, sleep, workflow
from podium.domain.filters import StateIs
from tests.support.apps import app_on


@workflow
async def park(customer: int) -> None:
    await sleep(3600)


@workflow
async def relabel() -> None:
    await set_attributes(stage="own")


@workflow
async def fail(why: str) -> None:
    raise ValueError(why)


async def test_runs_started_with_attributes_have_them_when_start_returns(database):
    async with app_on(database, park) as app:
        for customer in (1, 2):
            handle = await app.start(park, customer, attributes={"customer": customer, "vip": customer == 2})
            assert [run.id for run in await app.list(f"attr.customer={customer}")] == [handle.id]
        assert [run.id for run in await app.list("attr.vip=true")] == [handle.id]
        assert await app.runs.count("attr.customer:*") == 2


async def test_what_a_run_says_of_itself_stands_against_what_it_was_started_with(database):
    async with app_on(database, relabel) as app:
        handle = await app.start(relabel, run_id="r", attributes={"stage": "first", "customer": 42})
        await handle.result()
        assert await app.runs.attributes([handle.id]) == {"r": {"stage": "own", "customer": 42}}
        await app.start(relabel, run_id="r", attributes={"stage": "again", "late": True})
        assert await app.runs.attributes([handle.id]) == {"r": {"stage": "own", "customer": 42, "late": True}}


async def test_attributes_that_cannot_be_stored_start_nothing(database):
    async with app_on(database, park) as app:
        for attributes in ({"no name": 1}, {"x": float("nan")}, {f"a{number}": 1 for number in range(65)}):
            with pytest.raises(InvalidInput, match="attribute"):
                await app.start(park, 1, attributes=attributes)
        assert await app.list() == []


async def test_one_language_finds_runs_by_all_that_is_known_of_them(database):
    async with app_on(database, park, fail) as app:
        await app.start(park, 1, run_id="ticket-1")
        await app.start(park, 2, run_id="ticket-2")
        await app.start(fail, "the printer is on fire", run_id="desk-1")
        await app.story.state("desk-1", RunState.FAILED)

        async def found(filter: str) -> list[str]:
            return [run.id for run in await app.list(filter)]

        assert await found("id:ticket") == ["ticket-2", "ticket-1"]
        assert await found("state:failed,blocked created>-1h") == ["desk-1"]
        assert await found("error:'PRINTER is on'") == ["desk-1"]
        assert await found("workflow:park finished:*") == []
        assert await found("not workflow:park or id:ticket-1") == ["desk-1", "ticket-1"]
        assert await found("created>2000-01-01 created<1h") == []
        assert [run.id for run in await app.list(StateIs((RunState.FAILED,)))] == ["desk-1"]
        assert [run.id for run in await app.list("id:ticket", workflow="fail")] == []


async def test_pages_follow_the_last_run_of_the_page_before(database):
    async with app_on(database, park) as app:
        for number in range(5):
            await app.start(park, number, run_id=f"r{number}")
        first = await app.list("workflow:park", limit=3)
        second = await app.list("workflow:park", limit=3, after=first[-1])
        assert [run.id for run in (*first, *second)] == ["r4", "r3", "r2", "r1", "r0"]


async def test_what_is_no_filter_is_refused(database):
    async with app_on(database, park) as app:
        with pytest.raises(InvalidInput, match="did you mean workflow"):
            await app.list("wrkflow:park")
        with pytest.raises(InvalidInput, match="did you mean failed"):
            await app.runs.count("state:fail")
        with pytest.raises(UnknownRun):
            await app.runs.set_attributes("nobody", {"x": 1})
