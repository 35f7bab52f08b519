"""Runs as they are listed, counted, and found again by an engine that starts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from podium.domain.answers import Usage
from podium.domain.filter_language import parse_filter
from podium.domain.filters import EVERYTHING, StateIs, narrowed
from podium.domain.ids import RunId
from podium.domain.runs import Run, Spending
from podium.domain.states import RunState
from podium.ports.journal import Append
from podium.storage import entries, runs
from podium.storage.sqlite.database import SqliteStorage
from tests.storage.support import a_run, an_entry, committed, move

S = RunState


async def stored(storage: SqliteStorage, *made: Run) -> list[Run]:
    return await asyncio.gather(*map(storage.create, made))


async def listed(storage: SqliteStorage, **filters: Any) -> list[str]:
    found = await storage.read(
        partial(
            runs.list_runs, tenant=filters.pop("tenant", "default"), filter=narrowed(EVERYTHING, **filters)
        )
    )
    return [run.id for run in found]


async def test_the_newest_run_is_listed_first(storage):
    await stored(storage, a_run("b", created_at=2.0), a_run("c", created_at=3.0), a_run("a", created_at=1.0))
    assert await listed(storage) == ["c", "b", "a"]


async def test_runs_are_filtered_by_state_and_workflow(storage):
    await stored(
        storage,
        a_run("1", created_at=1.0),
        a_run("2", created_at=2.0, state=S.WAITING),
        a_run("3", created_at=3.0, state=S.WAITING, workflow="billing"),
        a_run("4", created_at=4.0, state=S.COMPLETED),
    )
    assert await listed(storage, states={S.WAITING}) == ["3", "2"]
    assert await listed(storage, states={S.WAITING, S.COMPLETED}) == ["4", "3", "2"]
    assert await listed(storage, workflow="billing") == ["3"]
    assert await listed(storage, states={S.WAITING}, workflow="support") == ["2"]
    assert await listed(storage, states=set()) == []


async def test_tenants_do_not_see_each_others_runs(storage):
    mine, theirs = await stored(storage, a_run("mine"), a_run("theirs", tenant="acme"))
    assert await listed(storage) == ["mine"]
    assert await listed(storage, tenant="acme") == ["theirs"]
    assert await storage.read(partial(runs.get_run, run=theirs.id, tenant="default")) is None
    assert await storage.read(partial(runs.get_run, run=mine.id, tenant="default")) == mine
    assert await storage.read(partial(runs.count_by_state, tenant="acme")) == {S.PENDING: 1}


@pytest.mark.parametrize("states", [None, {S.PENDING}, {S.PENDING, S.RUNNING}])
async def test_pages_follow_each_other_without_gap_or_repetition(storage, states):
    # Several runs are made in the same moment: the id decides between them.
    await stored(storage, *(a_run(f"run-{number:02}", created_at=float(number // 4)) for number in range(30)))
    pages, last = [], None
    while page := await storage.read(
        partial(
            runs.list_runs, tenant="default", filter=narrowed(EVERYTHING, states=states), limit=7, after=last
        )
    ):
        pages.append([run.id for run in page])
        last = page[-1]
    assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
    assert [run for page in pages for run in page] == [f"run-{number:02}" for number in reversed(range(30))]


async def test_a_run_that_arrives_between_two_pages_shifts_nothing(storage):
    await stored(storage, *(a_run(str(number), created_at=float(number)) for number in range(1, 7)))
    first = await storage.read(partial(runs.list_runs, tenant="default", limit=3))
    await stored(storage, a_run("7", created_at=7.0))
    second = await storage.read(partial(runs.list_runs, tenant="default", limit=3, after=first[-1]))
    assert [run.id for run in (*first, *second)] == ["6", "5", "4", "3", "2", "1"]


async def test_runs_are_counted_by_state(storage):
    await stored(storage, a_run(), a_run(), a_run(state=S.FAILED))
    assert await storage.read(partial(runs.count_by_state, tenant="default")) == {S.PENDING: 2, S.FAILED: 1}
    assert await storage.read(partial(runs.count_by_state, tenant="acme")) == {}


async def test_spending_is_summed(storage):
    one, two = Spending(Usage(100, 10), 5_000_000_000, 1.5), Spending(Usage(1, 2), 3, 0.25, 1)
    await stored(
        storage,
        a_run(state=S.COMPLETED, spending=one),
        a_run(state=S.COMPLETED, spending=two, workflow="billing"),
        a_run(state=S.FAILED, spending=two),
        a_run(tenant="acme", spending=one),
    )
    totals = partial(runs.totals, tenant="default")
    everything = await storage.read(totals)
    assert everything == runs.Totals(3, Spending(Usage(102, 14), 5_000_000_006, 2.0, 2))
    assert everything.spending.cost == "$5.00 + unpriced"
    assert (await storage.read(partial(totals, filter=StateIs((S.COMPLETED,))))).runs == 2
    assert (await storage.read(partial(totals, filter=parse_filter("workflow:billing")))).spending == two
    assert await storage.read(partial(totals, filter=StateIs((S.BLOCKED,)))) == runs.Totals(0, Spending())


async def test_unfinished_runs_are_found_oldest_first_page_by_page(storage):
    await stored(
        storage,
        *(a_run(f"old-{number}", created_at=float(number), tenant=f"t{number % 2}") for number in range(5)),
        a_run("running", created_at=9.0, state=S.RUNNING),
        *(
            a_run(state.value, created_at=3.5, state=state)
            for state in S
            if state not in {S.PENDING, S.RUNNING}
        ),
    )
    first = await storage.unfinished(4)
    second = await storage.unfinished(4, first[-1])
    assert [run.id for run in first] == ["old-0", "old-1", "old-2", "old-3"]
    assert [run.id for run in second] == ["old-4", "running"]
    assert list(await storage.unfinished(4, second[-1])) == []


async def test_waiting_runs_are_found_when_their_time_has_come(storage):
    await stored(
        storage,
        a_run("late", state=S.WAITING, wake_at=30.0),
        a_run("soon", state=S.WAITING, wake_at=10.0),
        a_run("now", state=S.WAITING, wake_at=20.0),
        a_run("for a person", state=S.WAITING),
        a_run("paused", state=S.PAUSED, wake_at=5.0),
    )
    assert await storage.next_wake() == 10.0
    assert list(await storage.due(9.9, 10)) == []
    assert list(await storage.due(20.0, 10)) == ["soon", "now"]
    assert list(await storage.due(20.0, 1)) == ["soon"]
    await committed(storage, move(a_run("soon"), S.RUNNING), move(a_run("now"), S.RUNNING))
    assert await storage.next_wake() == 30.0
    assert list(await storage.due(20.0, 10)) == []


async def test_nothing_to_wake_is_none(storage):
    assert await storage.next_wake() is None


async def test_entries_are_read_from_a_point_on(storage):
    run, other = await stored(storage, a_run(), a_run())
    made = [an_entry(run.id, seq) for seq in range(1, 11)]
    await committed(storage, *map(Append, made), Append(an_entry(other.id, 1)))
    read = partial(entries.entries, run=run.id)
    assert list(await storage.read(read)) == made
    assert list(await storage.read(partial(read, after=7))) == made[7:]
    assert list(await storage.read(partial(read, after=2, limit=3))) == made[2:5]
    assert list(await storage.read(partial(entries.entries, run=a_run().id))) == []


async def test_asking_for_what_no_id_can_be_finds_nothing(storage):
    await storage.create(a_run())
    for odd in map(RunId, ("\udce9", "\0", "")):
        assert await storage.read(partial(runs.get_run, run=odd)) is None
        assert await listed(storage, workflow=odd) == []
        assert list(await storage.read(partial(entries.entries, run=odd))) == []
        assert await storage.load(odd) is None
