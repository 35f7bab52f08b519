"""Long values: kept in pieces beside the journal, each piece once, and whole again when they are read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, func, select, text

from podium.domain.errors import StorageUnavailable
from podium.domain.ids import RunId
from podium.domain.journal import EntryType
from podium.domain.states import RunState
from podium.ports.journal import Append
from podium.storage import blobs, runs
from podium.storage.cuts import cut
from podium.storage.entries import entries
from podium.storage.revision import alembic_config, upgrade
from podium.storage.sqlite.database import SqliteStorage
from podium.storage.tables import blobs as pieces
from podium.storage.tables import journal, metadata
from tests.storage.support import a_run, an_entry, committed, loaded, move, opened
from tests.support.prose import prose

THRESHOLD = 16 * 1024
LONG = b'"' + os.urandom(20_000).hex().encode() + b'"'
NOISE = os.urandom(50_000)
MOST_PER_EDIT = 16_000
"""What a small edit of a long text may add, in bytes: some pieces of up to 4 KiB, and nodes."""


async def kept(storage: SqliteStorage) -> int:
    return await storage.read(lambda conn: conn.scalars(select(func.count()).select_from(pieces)).one())


def stored_bytes(conn: Connection) -> int:
    return conn.scalar(select(func.sum(func.length(pieces.c.content) + func.length(pieces.c.digest)))) or 0


def read(conn: Connection, digest: bytes, tenant: str = "t") -> bytes:
    return blobs.contents(conn, [(tenant, digest)]).value(tenant, digest, "it")


def first_part(value: bytes) -> bytes:
    """The digest of the piece that holds the beginning of a value."""
    return hashlib.blake2b(cut(value)[0], digest_size=20).digest()


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as conn:
        metadata.create_all(conn)
        yield conn
    engine.dispose()


# What is kept in pieces


@pytest.mark.parametrize(
    ("type", "longest"),
    [(EntryType.DONE, THRESHOLD), (EntryType.ERROR, THRESHOLD), (EntryType.ATTEMPT, 2048)],
)
async def test_only_values_over_the_threshold_leave_the_row(storage, type: EntryType, longest: int):
    run = await storage.create(a_run())
    for seq, length in enumerate((longest, longest + 1), 1):
        await committed(storage, Append(an_entry(run.id, seq, b"x" * length, type=type)))
    short, long = await storage.read(
        lambda conn: conn.execute(select(journal.c.payload, journal.c.payload_digest)).all()
    )
    assert tuple(short) == (b"x" * longest, None)
    assert (long.payload, len(long.payload_digest)) == (None, 20)


async def test_long_payloads_are_put_together_again(storage):
    run = await storage.create(a_run())
    made = [an_entry(run.id, 1, LONG), an_entry(run.id, 2), an_entry(run.id, 3, LONG + b" ")]
    await committed(storage, *map(Append, made))
    found = (await loaded(storage, run)).entries
    assert list(found) == made
    assert (found[0], found[-1], list(found[1:])) == (made[0], made[2], made[1:])
    assert list(await storage.read(lambda conn: entries(conn, run.id))) == made


async def test_the_same_value_is_kept_once(storage):
    run = await storage.create(a_run(input=LONG))
    once = await kept(storage)
    await committed(
        storage,
        *(Append(an_entry(run.id, seq, LONG)) for seq in range(1, 101)),
        move(run, RunState.RUNNING),
        move(run, RunState.COMPLETED, output=LONG),
    )
    found = await loaded(storage, run)
    assert await kept(storage) == once
    assert (found.run.input, found.run.output) == (LONG, LONG)
    assert {entry.payload for entry in found.entries} == {LONG}


async def test_tenants_share_no_piece(storage):
    made, counts = [], []
    for tenant in ("acme", "umbrella"):
        made.append(await storage.create(a_run(tenant=tenant, input=LONG)))
        await committed(storage, Append(an_entry(made[-1].id, 1, LONG)))
        counts.append(await kept(storage))
    assert counts[1] == 2 * counts[0]
    await storage.write(lambda conn: conn.execute(pieces.delete().where(pieces.c.tenant == "acme")))
    with pytest.raises(StorageUnavailable):
        await loaded(storage, made[0])
    found = await loaded(storage, made[1])
    assert [found.run.input, found.entries[0].payload] == [LONG, LONG]


async def test_an_empty_value_is_a_value(storage):
    run = await storage.create(a_run(input=b""))
    await committed(storage, Append(an_entry(run.id, 1, b"")))
    found = await loaded(storage, run)
    assert found.run.input == b""
    assert [entry.payload for entry in found.entries] == [b""]


@pytest.mark.parametrize(
    "value",
    [b"", b"x", b"x" * 1_000_000, bytes(range(256)) * 300, NOISE],
    ids=["empty", "one", "same", "periodic", "noise"],
)
def test_any_bytes_come_back(conn, value: bytes):
    assert read(conn, blobs.keep(conn, "t", value)) == value


def test_monotonous_and_wordy_text_takes_less_room_than_it_has_bytes(conn):
    blobs.keep(conn, "t", b"lorem ipsum dolor sit amet " * 20_000)
    assert stored_bytes(conn) < 540_000 / 50
    blobs.keep(conn, "t", prose(200_000, seed=1).encode())
    assert stored_bytes(conn) < 540_000 / 50 + 200_000 * 0.8


# Sharing


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 300), st.binary(max_size=300)), min_size=1, max_size=8
    ),
)
def test_an_edited_text_comes_back_and_adds_little(seed: int, edits: list[tuple[float, int, bytes]]):
    engine = create_engine("sqlite://")
    with engine.begin() as conn:
        metadata.create_all(conn)
        value = prose(150_000, seed=seed).encode()
        versions = {blobs.keep(conn, "t", value): value}
        for place, removed, inserted in edits:
            before, at = stored_bytes(conn), int(place * len(value))
            value = value[:at] + inserted + value[at + removed :]
            versions[blobs.keep(conn, "t", value)] = value
            assert stored_bytes(conn) - before < MOST_PER_EDIT
        assert {digest: read(conn, digest) for digest in versions} == versions
    engine.dispose()


@pytest.mark.parametrize("where", ["front", "middle", "end"])
def test_a_text_that_grows_anywhere_costs_what_is_new_however_long_it_is(conn, where: str):
    turns = [prose(1000, seed=seed) for seed in range(200)]
    sizes, told = [0], list[str]()
    for turn in turns:
        told.insert({"front": 0, "middle": len(told) // 2, "end": len(told)}[where], turn)
        blobs.keep(conn, "t", "\n".join(told).encode())
        sizes.append(stored_bytes(conn))
    assert sizes[200] < 4 * 200_000
    assert sizes[200] - sizes[150] < 1.3 * (sizes[50] - sizes[0])


@pytest.mark.parametrize(
    "value",
    [prose(300_000, seed=2).encode(), NOISE, b"ab" * 50_000, b"x" * 9_000],
    ids=["prose", "noise", "pairs", "same"],
)
def test_parts_are_of_bounded_length_and_joined_the_whole(value: bytes):
    parts = cut(value)
    assert b"".join(parts) == value
    assert max(map(len, parts)) <= 4096
    assert min(map(len, parts[:-1])) >= 256


@pytest.mark.parametrize("alphabet", ["aeinrst lmop", "äöü€漢字仮名", "0123456789abcdef", 'x\\n"{}: ,'])
def test_texts_of_any_kind_are_cut_into_parts_of_about_a_kilobyte(alphabet: str):
    value = "".join(random.Random(3).choices(alphabet, k=200_000)).encode()
    assert 300 < len(value) / len(cut(value)) < 3000


def test_a_text_that_spells_a_node_is_not_taken_for_it(conn):
    value = prose(20_000, seed=4).encode()
    digest = blobs.keep(conn, "t", value)
    (node,) = conn.scalars(select(pieces.c.content).where(pieces.c.digest == digest))
    other = blobs.keep(conn, "t", node)
    assert (read(conn, other), read(conn, digest)) == (node, value)


# What was there before, and what is lost


def test_a_value_of_before_is_read_as_it_is(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    key = hashlib.blake2b(LONG, digest_size=32).digest()
    with engine.begin() as conn:
        command.upgrade(alembic_config(conn), "0002")
        conn.execute(
            text("INSERT INTO blobs (tenant, digest, content) VALUES ('t', :key, :it)"),
            {"key": key, "it": LONG},
        )
        upgrade(conn)
        assert read(conn, key) == LONG
        assert read(conn, blobs.keep(conn, "t", LONG)) == LONG
    engine.dispose()


@pytest.mark.parametrize("content", [None, b"other text", NOISE[:99]], ids=["missing", "other", "noise"])
async def test_a_lost_piece_is_reported_with_its_run_and_entry(storage, content: bytes | None):
    run = await storage.create(a_run("ticket-42"))
    fine = an_entry(run.id, 1, prose(20_000, seed=5).encode())
    await committed(storage, Append(fine), Append(an_entry(run.id, 2, LONG, key="0:search#1")))
    digest = first_part(LONG)
    lost = pieces.c.digest == digest
    change = (
        pieces.delete().where(lost)
        if content is None
        else pieces.update().where(lost).values(content=content)
    )
    assert (await storage.write(lambda conn: conn.execute(change).rowcount)) == 1
    found = (await loaded(storage, run)).entries
    assert found[0] == fine
    with pytest.raises(StorageUnavailable) as caught:
        list(found)
    state = "missing" if content is None else "damaged"
    assert str(caught.value) == (
        f"The database has lost entry 2 ('0:search#1') of run 'ticket-42': piece {digest.hex()} of it is {state}. "
        "Restore a copy of the database."
    )


async def test_a_lost_input_is_reported_with_its_run(storage):
    run = await storage.create(a_run("ticket-43", input=LONG))
    await storage.write(lambda conn: conn.execute(pieces.delete()))
    for question in (
        lambda conn: runs.get_run(conn, run.id),
        lambda conn: runs.list_runs(conn, tenant=run.tenant),
    ):
        with pytest.raises(
            StorageUnavailable, match=r"has lost the input of run 'ticket-43': piece .* is missing"
        ):
            await storage.read(question)
    assert await storage.read(lambda conn: runs.get_run(conn, run.id, tenant="another")) is None


async def test_a_change_that_fails_after_its_pieces_leaves_none(storage):
    def fails(conn: Connection) -> None:
        blobs.keep(conn, "default", LONG)
        raise ValueError("after the pieces, before the row")

    with pytest.raises(ValueError, match="before the row"):
        await storage.write(fails)
    assert await kept(storage) == 0
    run = await storage.create(a_run(input=LONG))
    assert (await loaded(storage, run)).run.input == LONG


async def test_a_transaction_that_fails_after_its_pieces_leaves_none(path: Path):
    storage = await opened(path)
    run = await storage.create(a_run())
    failed = asyncio.get_running_loop().create_future()
    storage.on_failure(failed.set_result)
    storage.commit([Append(an_entry(run.id, 1, LONG)), Append(an_entry("nobody", 1))])
    await failed
    await storage.close()
    again = await opened(path)
    assert await kept(again) == 0
    await committed(again, Append(an_entry(run.id, 1, LONG)))
    assert [entry.payload for entry in (await loaded(again, RunId(run.id))).entries] == [LONG]
    await again.close()
