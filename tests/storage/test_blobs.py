"""Long values: kept once each, beside the journal, and joined back when they are read."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import func, select

from podium.domain.states import RunState
from podium.ports.journal import Append
from podium.storage import blobs
from podium.storage.entries import entries
from podium.storage.sqlite.database import SqliteStorage
from podium.storage.tables import blobs as blobs_table
from podium.storage.tables import journal
from tests.storage.support import a_run, an_entry, committed, loaded, move

THRESHOLD = 16 * 1024
LONG = b'"' + os.urandom(20_000).hex().encode() + b'"'


async def kept(storage: SqliteStorage) -> int | None:
    return await storage.read(lambda conn: conn.scalar(select(func.count()).select_from(blobs_table)))


@pytest.mark.parametrize(("length", "is_blob"), [(THRESHOLD, False), (THRESHOLD + 1, True)])
async def test_only_values_over_the_threshold_become_blobs(storage, length: int, is_blob: bool):
    run = await storage.create(a_run())
    payload = b"x" * length
    await committed(storage, Append(an_entry(run.id, 1, payload)))
    inline, digest = await storage.read(
        lambda conn: conn.execute(select(journal.c.payload, journal.c.payload_digest)).one()
    )
    assert await kept(storage) == int(is_blob)
    assert (inline is None) is is_blob
    assert digest == (blobs.digest_of(payload) if is_blob else None)


async def test_long_payloads_are_joined_back(storage):
    run = await storage.create(a_run())
    made = [an_entry(run.id, 1, LONG), an_entry(run.id, 2), an_entry(run.id, 3, LONG + b" ")]
    await committed(storage, *map(Append, made))
    assert list((await loaded(storage, run)).entries) == made
    assert list(await storage.read(lambda conn: entries(conn, run.id))) == made


async def test_the_same_value_is_kept_once(storage):
    run = await storage.create(a_run(input=LONG))
    await committed(
        storage,
        *(Append(an_entry(run.id, seq, LONG)) for seq in range(1, 101)),
        move(run, RunState.RUNNING),
        move(run, RunState.COMPLETED, output=LONG),
    )
    found = await loaded(storage, run)
    assert await kept(storage) == 1
    assert (found.run.input, found.run.output) == (LONG, LONG)
    assert {entry.payload for entry in found.entries} == {LONG}


async def test_tenants_share_no_blob(storage):
    made = [await storage.create(a_run(tenant=tenant, input=LONG)) for tenant in ("acme", "umbrella")]
    for run in made:
        await committed(storage, Append(an_entry(run.id, 1, LONG)))
    assert await kept(storage) == 2
    for run in made:
        found = await loaded(storage, run)
        assert found.run.input == LONG
        assert [entry.payload for entry in found.entries] == [LONG]


async def test_an_empty_value_is_a_value(storage):
    run = await storage.create(a_run(input=b""))
    await committed(storage, Append(an_entry(run.id, 1, b"")))
    found = await loaded(storage, run)
    assert found.run.input == b""
    assert [entry.payload for entry in found.entries] == [b""]
