"""One owner at a time: the lock, what others are told, and what an owner does that is one no longer."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from podium.domain.errors import StorageUnavailable
from podium.domain.inbox import Delivery, DeliveryKind
from podium.ports.journal import Append
from podium.storage import inbox, runs
from podium.storage.owner import get_owner
from podium.storage.sqlite.lock import is_owned
from tests.storage.support import a_run, an_entry, child, committed, line_of, loaded, opened


async def test_a_second_owner_is_refused_and_told_of_the_first(path: Path):
    with child("owner", path) as first:
        assert line_of(first) == "owned"
        with pytest.raises(StorageUnavailable) as caught:
            await opened(path)
        message = str(caught.value)
        assert "\n" not in message
        assert f"owned by process {first.pid} on {os.uname().nodename} since 20" in message
        assert "(owner.py" in message
        first.communicate("end\n", timeout=20)
    await (await opened(path)).close()


async def test_the_command_is_told_up_to_its_first_option(path: Path):
    with child("owner", path, "--input", "a secret") as first:
        line_of(first)
        with pytest.raises(StorageUnavailable) as caught:
            await opened(path)
        assert f"(owner.py {path})" in str(caught.value)
        assert "secret" not in str(caught.value)


async def test_within_one_process_there_is_one_owner_too(storage, path: Path):
    with pytest.raises(StorageUnavailable, match=f"owned by process {os.getpid()} "):
        await opened(path)


async def test_another_name_of_the_file_is_the_same_file(storage, path: Path):
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(StorageUnavailable, match="owned by process"):
        await opened(link)
    assert is_owned(link)


async def test_a_killed_owner_leaves_the_database_free(path: Path):
    with child("owner", path) as first:
        line_of(first)
        assert is_owned(path)
        first.kill()
        first.wait(timeout=20)
        assert not is_owned(path)
        await (await opened(path)).close()


async def test_whether_there_is_an_owner_can_be_seen_without_becoming_one(path: Path):
    assert not is_owned(path)
    assert list(path.parent.iterdir()) == []
    storage = await opened(path)
    assert is_owned(path)
    assert is_owned(str(path))
    await storage.close()
    assert not is_owned(path)


async def test_each_owner_has_a_greater_epoch(path: Path):
    epochs = []
    for _ in range(3):
        storage = await opened(path)
        epochs.append(
            await storage.read(lambda conn: conn.exec_driver_sql("SELECT epoch FROM owner").scalar_one())
        )
        owner = await storage.read(get_owner)
        assert owner is not None
        assert owner.pid == os.getpid()
        await storage.close()
    assert epochs == [1, 2, 3]


async def test_an_owner_whose_epoch_has_passed_writes_nothing_more(path: Path):
    storage = await opened(path)
    run = await storage.create(a_run())
    failures: list[Exception] = []
    storage.on_failure(failures.append)
    with closing(sqlite3.connect(path)) as thief:
        thief.execute("UPDATE owner SET epoch = epoch + 1")
        thief.commit()
    told: list[str] = []
    storage.commit([Append(an_entry(run.id, 1))], lambda: told.append("acknowledged"))
    with pytest.raises(StorageUnavailable, match="another process has taken the database over"):
        await storage.create(a_run())
    found = await loaded(storage, run)
    await storage.close()
    assert list(found.entries) == []
    assert told == []
    assert len(failures) == 1


async def test_an_owner_whose_file_is_removed_stops(path: Path):
    storage = await opened(path)
    await storage.create(a_run())
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(StorageUnavailable, match="removed or replaced while it was in use"):
        await storage.create(a_run())
    await storage.close()


async def test_others_may_read_and_deliver_but_not_touch_the_journal(storage, path: Path):
    run = await storage.create(a_run())
    other = await opened(path, own=False)
    assert await other.read(partial(runs.get_run, run=run.id)) == run
    delivery = Delivery(run.id, DeliveryKind.CANCEL, "", b"null", 1.0)
    await other.write(partial(inbox.deliver, delivery=delivery))
    assert [found.kind for found in await storage.deliveries(0, 10)] == [DeliveryKind.CANCEL]
    with pytest.raises(StorageUnavailable, match="opened without owning it"):
        other.commit([Append(an_entry(run.id, 1))])
    with pytest.raises(StorageUnavailable, match="opened without owning it"):
        await other.create(a_run())
    await other.close()


async def test_a_change_by_another_is_seen(storage, path: Path):
    run = await storage.create(a_run())
    other = await opened(path, own=False)
    storage.changed_elsewhere()
    assert not storage.changed_elsewhere()
    await other.write(
        partial(inbox.deliver, delivery=Delivery(run.id, DeliveryKind.CANCEL, "", b"null", 1.0))
    )
    assert storage.changed_elsewhere()
    assert not storage.changed_elsewhere()
    await other.close()


async def test_others_get_their_turn_while_the_owner_writes_without_a_pause(storage, path: Path):
    run = await storage.create(a_run())
    other = await opened(path, own=False)
    busy = True

    async def without_a_pause() -> int:
        seq = 0
        while busy:
            seq += 1
            await committed(storage, Append(an_entry(run.id, seq)))
        return seq

    writing = asyncio.create_task(without_a_pause())
    for _ in range(20):
        delivery = Delivery(run.id, DeliveryKind.CANCEL, "", b"null", 1.0)
        await asyncio.wait_for(other.write(partial(inbox.deliver, delivery=delivery)), 10)
    busy = False
    assert await writing >= 1
    assert len(await storage.deliveries(0, 100)) == 20
    await other.close()
