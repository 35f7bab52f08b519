"""A write that fails is final: nothing of it is acknowledged, everybody is told, once and plainly."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from podium.domain.errors import StorageUnavailable
from podium.domain.runs import Run
from podium.ports.journal import Append
from podium.storage import blobs
from podium.storage.sqlite.connections import driver
from podium.storage.sqlite.database import SqliteStorage
from tests.storage.support import a_run, an_entry, child, committed, line_of, loaded, opened

LONG = b'"' + b"x" * 10_000 + b'"'


async def limited(path: Path, pages: int) -> tuple[SqliteStorage, Run]:
    """A storage whose database may grow by so many pages only."""
    storage = await opened(path)
    run = await storage.create(a_run())

    def limit(conn: Connection) -> None:
        raw = driver(conn)
        (now,) = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {now + pages}")

    await storage.write(limit)
    return storage, run


async def test_a_full_disk_stops_the_journal_and_loses_nothing_acknowledged(path: Path):
    storage, run = await limited(path, 20)
    failures: list[Exception] = []
    storage.on_failure(failures.append)
    acknowledged: list[int] = []
    for seq in range(1, 101):
        storage.commit([Append(an_entry(run.id, seq, LONG))], partial(acknowledged.append, seq))
        await asyncio.sleep(0.001)
    with pytest.raises(StorageUnavailable):
        await storage.write(lambda conn: None)
    found = await loaded(storage, run)
    await storage.close()
    assert 0 < len(acknowledged) < 100
    assert acknowledged == [entry.seq for entry in found.entries] == list(range(1, len(acknowledged) + 1))
    assert len(failures) == 1


async def test_the_failure_says_file_cause_and_what_to_do_in_one_line(path: Path):
    storage, run = await limited(path, 2)
    storage.commit([Append(an_entry(run.id, seq, LONG)) for seq in range(1, 11)])
    with pytest.raises(StorageUnavailable) as caught:
        await storage.write(lambda conn: None)
    await storage.close()
    assert str(caught.value) == (
        f"The database {path} can no longer be written: the disk is full (SQLITE_FULL: database or disk is full). "
        "Nothing unwritten was acknowledged. Free some space and start again."
    )


async def test_a_transaction_that_fails_is_undone_as_a_whole(path: Path):
    storage, run = await limited(path, 5)
    storage.commit(
        [Append(an_entry(run.id, 1)), *(Append(an_entry(run.id, seq, LONG)) for seq in range(2, 51))]
    )
    with pytest.raises(StorageUnavailable):
        await storage.create(a_run("late"))
    assert list((await loaded(storage, run)).entries) == []
    assert await storage.load(a_run("late").id) is None
    await storage.close()


async def test_after_the_failure_every_write_is_refused_with_the_same_words(path: Path):
    storage, run = await limited(path, 2)
    failures: list[Exception] = []
    told: list[str] = []
    storage.commit(
        [Append(an_entry(run.id, seq, LONG)) for seq in range(1, 11)], lambda: told.append("first")
    )
    creating = [storage.create(a_run()) for _ in range(5)]
    writing = [storage.write(lambda conn: None) for _ in range(5)]
    results = await asyncio.gather(*creating, *writing, return_exceptions=True)
    storage.commit([Append(an_entry(run.id, 1))], lambda: told.append("later"))
    storage.on_failure(failures.append)
    with pytest.raises(StorageUnavailable) as caught:
        await storage.write(lambda conn: None)
    assert {str(result) for result in results} == {str(caught.value)}
    await storage.close()
    assert told == []
    assert [str(failure) for failure in failures] == [str(caught.value)]


async def test_it_can_still_be_read_after_the_failure(path: Path):
    storage, run = await limited(path, 2)
    storage.commit([Append(an_entry(run.id, seq, LONG)) for seq in range(1, 11)])
    with pytest.raises(StorageUnavailable):
        await storage.write(lambda conn: None)
    assert (await loaded(storage, run)).run == run
    await storage.close()


async def test_a_function_that_meets_a_full_disk_stops_the_journal_too(path: Path):
    storage, _ = await limited(path, 2)
    failures: list[Exception] = []
    storage.on_failure(failures.append)
    with pytest.raises(StorageUnavailable, match="the disk is full"):
        await storage.write(lambda conn: blobs.keep(conn, "default", os.urandom(1_000_000)))
    await storage.close()
    assert len(failures) == 1


async def test_the_system_refusing_to_write_is_a_failure_and_what_was_acknowledged_is_there(path: Path):
    with child("full_disk", path) as filling:
        acknowledged = int(line_of(filling))
        failure, refusal = line_of(filling), line_of(filling)
        assert filling.wait(timeout=20) == 0
    assert f"The database {path} can no longer be written: the disk " in failure
    assert "Nothing unwritten was acknowledged." in failure
    assert refusal == failure
    storage = await opened(path)
    found = await loaded(storage, "filling")
    # The last transaction may have reached the file without being acknowledged; nothing is missing.
    assert [entry.seq for entry in found.entries][:acknowledged] == list(range(1, acknowledged + 1))
    assert acknowledged > 0
    run = await storage.create(a_run())
    await committed(storage, Append(an_entry(run.id, 1)))
    await storage.close()


async def test_a_lock_held_beyond_the_busy_timeout_is_a_failure(path: Path):
    storage = await opened(path, busy_timeout=0.05)
    failures: list[Exception] = []
    storage.on_failure(failures.append)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="another process keeps it locked"):
            await storage.create(a_run())
    with pytest.raises(StorageUnavailable):
        await storage.create(a_run())
    await storage.close()
    assert len(failures) == 1


async def test_a_lock_held_for_less_is_waited_for(storage, path: Path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        creating = asyncio.ensure_future(storage.create(a_run()))
        await asyncio.sleep(0.1)
        assert not creating.done()
        other.execute("COMMIT")
    assert await creating


async def test_a_database_that_turns_read_only_underneath_is_a_failure(path: Path):
    storage = await opened(path)
    run = await storage.create(a_run())
    await storage.write(lambda conn: driver(conn).execute("PRAGMA query_only = ON"))
    with pytest.raises(StorageUnavailable, match="the file may only be read"):
        await storage.create(a_run())
    assert (await loaded(storage, run)).run == run
    await storage.close()
