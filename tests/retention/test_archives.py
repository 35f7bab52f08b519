"""What is archived is read, shown and written on as if it were not."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.domain.errors import StorageUnavailable
from podium.domain.ids import RunId
from podium.domain.states import RunState
from podium.ports.journal import Append
from podium.storage import archives, entries
from podium.storage.folding import Line, fold, unfold
from tests.retention.support import LONG, archive, ended, entries_of, hot, number_of, rows
from tests.storage.support import an_entry, committed, move

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
LINES = st.builds(
    Line,
    seq=st.integers(1, 2**53),
    type=st.sampled_from(["done", "error", "signal", "attempt", "started"]),
    kind=st.none() | TEXTS,
    key=TEXTS,
    name=TEXTS,
    fingerprint=TEXTS,
    attempt=st.integers(0, 2**53),
    started_at=TIMES,
    at=TIMES,
    payload=st.none() | st.binary(max_size=200),
    payload_digest=st.none() | st.binary(min_size=1, max_size=32),
)


@given(st.lists(LINES, max_size=20))
def test_lines_come_back_from_an_archive_exactly_as_they_were(lines: list[Line]):
    assert unfold(fold(lines), "run 'r'") == lines


def test_an_archive_of_a_form_that_is_not_known_is_refused():
    with pytest.raises(StorageUnavailable, match="run 'r' has a form that this version"):
        unfold(b"\x09whatever", "run 'r'")


@pytest.mark.parametrize("broken", [fold([])[:-3], b"\x01", b"\x01" + b"x" * 40])
def test_a_damaged_archive_is_told_apart_from_an_empty_one(broken: bytes):
    with pytest.raises(StorageUnavailable, match="run 'r' is damaged"):
        unfold(broken, "run 'r'")


async def test_an_archived_journal_is_loaded_and_listed_as_before(storage):
    run = await ended(storage, "r", payloads=(b'"short"', LONG, b'{"a": 1.50}', LONG))
    before = await entries_of(storage, "r")
    await archive(storage, "r")
    assert await hot(storage) == []
    assert await entries_of(storage, "r") == before
    assert list(await storage.read(partial(entries.entries, run=run.id))) == before


async def test_an_archived_journal_is_read_in_parts(storage):
    await ended(storage, "r", payloads=(b"1", b"2", b"3"))
    await archive(storage, "r")
    await committed(storage, Append(an_entry("r", 4, b"4")), Append(an_entry("r", 5, b"5")))

    async def seqs(after: int, limit: int | None) -> list[int]:
        found = await storage.read(partial(entries.entries, run=RunId("r"), after=after, limit=limit))
        return [entry.seq for entry in found]

    assert await seqs(0, None) == [1, 2, 3, 4, 5]
    assert await seqs(1, 3) == [2, 3, 4]
    assert await seqs(3, 1) == [4]
    assert await seqs(0, 2) == [1, 2]
    assert await seqs(5, None) == []


async def test_a_failed_run_that_goes_on_writes_on_behind_its_archive(storage):
    run = await ended(storage, "r", state=RunState.FAILED)
    before = await entries_of(storage, "r")
    await archive(storage, "r")
    more = an_entry("r", 3, b'"three"')
    await committed(storage, move(run, RunState.RUNNING), Append(more), move(run, RunState.COMPLETED))
    assert await entries_of(storage, "r") == [*before, more]
    await archive(storage, "r")
    assert await hot(storage) == []
    assert await entries_of(storage, "r") == [*before, more]
    assert await rows(storage, "SELECT entries FROM archives") == [(3,)]


async def test_an_earlier_generation_is_folded_and_the_next_begins_with_nothing(storage):
    run = await ended(storage, "r", payloads=(b'"old"', LONG))
    old = await entries_of(storage, "r")
    number = await number_of(storage, "r")

    def go_on_as_new(conn):
        archives.archive_generation(conn, number, 0)
        conn.exec_driver_sql("UPDATE runs SET generation = 1 WHERE number = ?", (number,))

    await storage.write(go_on_as_new)
    assert await entries_of(storage, "r") == []
    await committed(storage, Append(an_entry("r", 1, b'"new"')))
    assert [entry.payload for entry in await entries_of(storage, "r")] == [b'"new"']
    assert list(await storage.read(partial(entries.entries, run=run.id, generation=0))) == old
    assert await storage.read(partial(archives.generations, number=number)) == [0]
    await archive(storage, "r", generation=1)
    assert [entry.payload for entry in await entries_of(storage, "r")] == [b'"new"']
    assert await storage.read(partial(archives.generations, number=number)) == [0, 1]


async def test_an_archive_is_put_back_into_the_journal(storage):
    await ended(storage, "r", payloads=(b'"a"', LONG))
    before = await entries_of(storage, "r")
    await archive(storage, "r")
    number = await number_of(storage, "r")
    restore = partial(archives.restore_generation, number=number, generation=0)
    assert await storage.write(restore) == 2
    assert await hot(storage) == ["r"]
    assert await entries_of(storage, "r") == before
    assert await rows(storage, "SELECT * FROM archives") == await rows(
        storage, "SELECT * FROM archive_values"
    )
    assert await storage.write(restore) == 0


async def test_a_journal_that_grew_after_it_was_folded_is_left_alone(storage):
    await ended(storage, "r")
    number = await number_of(storage, "r")
    folded = await storage.read(partial(archives.fold_generation, number=number, generation=0))
    await committed(storage, Append(an_entry("r", 3)))
    assert await storage.write(partial(archives.store, folded=[folded], at=1.0)) == []
    assert [entry.seq for entry in await entries_of(storage, "r")] == [1, 2, 3]
    assert await rows(storage, "SELECT * FROM archives") == []


async def test_a_run_without_entries_has_nothing_to_archive(storage):
    await ended(storage, "r", payloads=())
    number = await number_of(storage, "r")
    assert await storage.write(lambda conn: archives.archive_generation(conn, number, 0)) is None
    assert await entries_of(storage, "r") == []
