"""The process that owns a database archives and deletes as it goes, without getting in anybody's way."""

from __future__ import annotations

import logging
from functools import partial

from podium import Settings, step, workflow
from podium.app.podium import Podium
from podium.app.retention import Keeper
from podium.app.rounds import Round
from podium.domain.errors import StorageUnavailable
from podium.domain.ids import RunId
from podium.domain.retention import Retention
from podium.domain.states import RunState
from podium.ports.storage import Storage
from podium.settings import RetentionSettings
from podium.storage import finished
from podium.storage.sqlite.connections import driver
from tests.retention.support import DAY, HOUR, NOW, ended, hot, ids, keeper
from tests.storage.support import opened
from tests.support.apps import until


@step
async def double(number: int) -> int:
    return number * 2


@workflow
async def doubled(number: int) -> int:
    return await double(number) + await double(number)


def settings(default: Retention) -> Settings:
    return Settings(retention=RetentionSettings(default=default, every=0.02, share=1.0))


async def test_the_owner_archives_what_has_finished_and_shows_it_as_before(database):
    async with Podium(database, workflows=[doubled], settings=settings(Retention("0s"))) as app:
        assert await app.run(doubled, 4, run_id="r") == 16
        before = await app.runs.timeline("r")
        assert len(before.operations) == 2
        await until(lambda: is_archived(app))
        assert await app.runs.timeline("r") == before
        assert await (await app.get("r")).result() == 16


async def is_archived(app: Podium) -> bool:
    query = partial(finished.with_journal, before=float("inf"), after=0, limit=1)
    return (await app.runs._storage.read(query)) == ([], None)


async def test_the_owner_deletes_what_is_old_enough(database):
    policy = Retention(archive_after=None, delete_after="0s")
    async with Podium(database, workflows=[doubled], settings=settings(policy)) as app:
        await app.run(doubled, 4, run_id="r")
        await until(lambda: is_gone(app, "r"))


async def is_gone(app: Podium, run: str) -> bool:
    return await app.runs.find(run) is None


async def test_a_keeper_can_be_switched_off(database):
    off = Settings(retention=RetentionSettings(default=Retention("0s"), every=0))
    async with Podium(database, workflows=[doubled], settings=off) as app:
        await app.run(doubled, 4, run_id="r")
        assert not await is_archived(app)


class _Failing:
    """A storage that cannot be read the first few times."""

    def __init__(self, storage: Storage, errors: list[Exception]) -> None:
        self._storage, self._errors = storage, errors

    async def read(self, query):
        if self._errors:
            raise self._errors.pop()
        return await self._storage.read(query)

    async def write(self, change):
        return await self._storage.write(change)

    async def close(self):
        await self._storage.close()


async def test_a_keeper_survives_what_goes_wrong_and_says_so(storage, caplog):
    import asyncio

    await ended(storage, "r", DAY)
    failing = _Failing(storage, [ValueError("odd"), StorageUnavailable("the disk sleeps")])
    looking = Keeper(
        failing, RetentionSettings(default=Retention("1h"), every=0.01, share=1.0), clock=lambda: NOW
    )
    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(looking.work())
        await until(lambda: nothing_hot(storage))
        task.cancel()
        await asyncio.wait([task])
    assert [record.exc_info is not None for record in caplog.records] == [False, True]
    assert "the disk sleeps" in caplog.text


async def nothing_hot(storage) -> bool:
    return await hot(storage) == []


async def test_a_round_tells_of_its_progress_and_a_second_one_finds_nothing(storage):
    for number in range(40):
        await ended(storage, f"r-{number}", DAY)
    told: list[Round] = []
    looking = keeper(storage, Retention("1h"))
    looking._tell = told.append
    done = await looking.round()
    assert (done.archived, told[-1].archived) == (40, 40)
    assert len(told) > 1
    assert await looking.round() == Round()


async def test_what_would_be_done_is_counted_without_doing_it(storage):
    await ended(storage, "a", 2 * DAY)
    await ended(storage, "b", 2 * HOUR)
    await ended(storage, "c", 60)
    policy = Retention("1h", "1d")
    assert await keeper(storage, policy).due() == Round(archived=1, deleted=1)
    assert await ids(storage) == await hot(storage) == ["a", "b", "c"]


async def test_many_runs_are_dealt_with_page_by_page(storage, monkeypatch):
    from podium.app import retention

    monkeypatch.setattr(retention, "_PAGE", 3)
    monkeypatch.setattr(retention, "_ROOTS", 3)
    for number in range(10):
        await ended(storage, f"old-{number}", DAY + number % 3)
        await ended(storage, f"new-{number}", HOUR)
    done = await keeper(storage, Retention("0s", "12h")).round()
    assert (done.deleted, done.archived) == (10, 10)
    assert await hot(storage) == []


async def test_somebody_else_may_look_after_a_database_beside_its_owner(storage, path):
    await ended(storage, "a", 2 * DAY)
    await ended(storage, "b", 2 * HOUR)
    beside = await opened(path, own=False)
    done = await keeper(beside, Retention("1h", "1d")).round()
    await beside.close()
    assert (done.deleted, done.archived) == (1, 1)
    await ended(storage, "c", HOUR)
    assert await ids(storage) == ["b", "c"]


async def test_due_runs_are_found_by_indexes_among_any_number_of_others(storage):
    run = finished.Finished(1, RunId("r"), "w", RunState.FAILED, 1.0, 0)
    roots = partial(finished.roots, workflow="w", state=RunState.FAILED, before=5.0, limit=9)
    for query, index in (
        (roots, "ix_runs_finished (workflow=? AND state=? AND finished_at>? AND finished_at<?)"),
        (partial(roots, after=run), "ix_runs_finished (workflow=? AND state=? AND finished_at>?"),
        (partial(finished.with_journal, before=5.0, after=3, limit=9), "journal_1 (run_number>?)"),
        (partial(finished.line_of, root=1, before=5.0), "ix_runs_parent (parent_run=?)"),
        (finished.workflows, "COVERING INDEX ix_runs_finished"),
    ):
        plan = await storage.read(partial(plan_of, query=query))
        assert any(index in step for step in plan), plan
        assert not any(step.startswith("SCAN") and step not in OF_THEIR_OWN for step in plan), plan


OF_THEIR_OWN = {"SCAN hot", "SCAN line", "SCAN CONSTANT ROW"}
"""Steps over what the query itself has found so far."""


def plan_of(conn, query) -> list[str]:
    raw = driver(conn)
    statements: list[str] = []
    raw.set_trace_callback(statements.append)
    try:
        query(conn)
    finally:
        raw.set_trace_callback(None)
    return [row[3] for sql in statements for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}")]
