"""A database that can no longer be written: everybody who waits is told, and nothing is claimed that is not on disk."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest

from podium import RunState, StorageUnavailable, sleep, step, workflow
from tests.support.apps import App, app_on


@step
async def write(i: int) -> str:
    return "x" * 5000


@workflow
async def writer(i: int) -> int:
    for _ in range(50):
        await write(i)
        await sleep(0.001)
    return i


async def a_full_disk(app: App, database) -> None:
    """Hardly a page more than the file has."""

    def limit(connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")

    # It may be full already for what is written together with this.
    with contextlib.suppress(StorageUnavailable):
        await app.runs._storage.write(limit)


async def another_owner(app: App, database) -> None:
    def take_over() -> None:
        connection = sqlite3.connect(database, timeout=10)
        with connection:
            connection.execute("UPDATE owner SET epoch = epoch + 1")
        connection.close()

    await asyncio.to_thread(take_over)


FAILURES = {
    "full": (a_full_disk, "can no longer be written: the disk is full"),
    "taken over": (another_owner, "another process has taken the database over"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_everybody_who_waits_is_told_and_nothing_else_was_claimed(database, failure):
    strike, message = FAILURES[failure]
    async with app_on(database, writer) as app:
        handles = await asyncio.gather(*[app.start(writer, i, run_id=f"r{i}") for i in range(40)])
        waiting = [asyncio.create_task(handle.result()) for handle in handles]
        idle = asyncio.create_task(app.idle())
        await app.story.tells(lambda h: getattr(getattr(h, "entry", None), "seq", 0) == 4)
        await strike(app, database)
        async with asyncio.timeout(20):
            results = await asyncio.gather(*waiting, return_exceptions=True)
            with pytest.raises(StorageUnavailable, match=message):
                await idle
        assert all(isinstance(result, StorageUnavailable) for result in results), results
        assert not app.in_memory
        with pytest.raises(StorageUnavailable, match=message):
            await app.start(writer, 99)
        late = await app.get("r0")
        with pytest.raises(StorageUnavailable, match=message):
            await late.result()
        told = [h.entry for h in app.story.happenings if hasattr(h, "entry")]
    with sqlite3.connect(database) as connection:
        stored = set(
            connection.execute(
                "SELECT r.id, j.seq FROM journal j JOIN runs r ON r.number = j.run_number"
            ).fetchall()
        )
    connection.close()
    assert {(entry.run, entry.seq) for entry in told} <= stored


async def test_what_was_on_disk_goes_on_when_there_is_room_again(database):
    async with app_on(database, writer) as app:
        handles = await asyncio.gather(*[app.start(writer, i, run_id=f"r{i}") for i in range(10)])
        await app.story.tells(lambda h: getattr(getattr(h, "entry", None), "seq", 0) == 4)
        await a_full_disk(app, database)
        with pytest.raises(StorageUnavailable):
            await handles[0].result()
    async with app_on(database, writer) as app:
        assert app.taken_up == 10
        assert await app.finished(*[f"r{i}" for i in range(10)]) == {RunState.COMPLETED: 10}


async def test_a_result_that_is_on_disk_is_still_given(database):
    @workflow
    async def quick() -> str:
        return "done"

    async with app_on(database, quick, writer) as app:
        handle = await app.start(quick)
        assert await handle.result() == "done"
        await another_owner(app, database)
        with pytest.raises(StorageUnavailable):
            await app.run(writer, 1)
        assert await handle.result() == "done"
