"""Deleted is what is old enough, with all that belongs to it and nothing else."""

from __future__ import annotations

import random
from functools import partial

import pytest
from sqlalchemy import Connection, Table, Text
from sqlalchemy.dialects import sqlite

from podium.domain.errors import InvalidInput
from podium.domain.ids import RunId
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.retention import Retention
from podium.domain.runs import Parent
from podium.domain.states import RunState
from podium.ports.journal import Deliver
from podium.settings import RetentionSettings
from podium.storage import finished, sweeping
from podium.storage.tables import metadata
from tests.retention.support import (
    DAY,
    HOUR,
    LONG,
    NOW,
    archive,
    ended,
    entries_of,
    hot,
    ids,
    keeper,
    number_of,
    rows,
)
from tests.storage.support import a_run, committed, move

MONTH = Retention(delete_after="30d", keep_failed="90d")
STATES = RunState


async def test_by_default_journals_are_archived_after_hours_and_nothing_is_deleted(storage):
    await ended(storage, "old", 1000 * DAY)
    await ended(storage, "new", HOUR)
    done = await keeper(storage).round()
    assert (done.archived, done.entries, done.deleted) == (1, 2, 0)
    assert await ids(storage) == ["new", "old"]
    assert await hot(storage) == ["new"]


async def test_runs_are_deleted_by_age_and_failed_ones_later(storage):
    await ended(storage, "done-29", 29 * DAY)
    await ended(storage, "done-31", 31 * DAY)
    await ended(storage, "cancelled-31", 31 * DAY, state=STATES.CANCELLED)
    await ended(storage, "failed-31", 31 * DAY, state=STATES.FAILED)
    await ended(storage, "failed-91", 91 * DAY, state=STATES.FAILED)
    assert (await keeper(storage, MONTH).round()).deleted == 3
    assert await ids(storage) == ["done-29", "failed-31"]


async def test_a_workflow_has_a_policy_of_its_own(storage):
    await ended(storage, "a", 2 * DAY, workflow="short")
    await ended(storage, "b", 2 * DAY, workflow="other")
    policies = {"short": Retention(archive_after=None, delete_after="1d")}
    assert (await keeper(storage, Retention("5d"), policies).round()).deleted == 1
    assert await ids(storage) == ["b"]
    assert await hot(storage) == ["b"]


async def test_a_keeper_of_one_workflow_leaves_the_others(storage):
    await ended(storage, "a", 2 * DAY, workflow="one")
    await ended(storage, "b", 2 * DAY, workflow="two")
    await ended(storage, "c", 2 * HOUR, workflow="one")
    done = await keeper(storage, Retention("1h", "1d"), workflow="one").round()
    assert (done.deleted, done.archived) == (1, 1)
    assert await ids(storage) == ["b", "c"]
    assert await hot(storage) == ["b"]


@pytest.mark.parametrize("state", sorted(set(RunState) - {STATES.COMPLETED, STATES.FAILED, STATES.CANCELLED}))
async def test_what_has_not_finished_is_never_touched(storage, state: RunState):
    run = await storage.create(a_run("r"))
    if state is not STATES.PENDING:
        await committed(storage, move(run, STATES.RUNNING))
    if state not in (STATES.PENDING, STATES.RUNNING):
        await committed(storage, move(run, state))
    await archive_nothing(storage)
    assert await ids(storage) == ["r"]


async def archive_nothing(storage) -> None:
    done = await keeper(storage, Retention("0s", "0s")).round()
    assert (done.archived, done.deleted) == (0, 0)


@pytest.mark.parametrize("state", [STATES.RUNNING, STATES.WAITING, STATES.BLOCKED])
async def test_a_child_stays_whole_while_its_parent_is_unfinished(storage, state: RunState):
    parent = await storage.create(a_run("parent"))
    await committed(storage, move(parent, STATES.RUNNING), move(parent, state))
    await ended(storage, "parent/1", 9 * DAY, parent="parent")
    await archive_nothing(storage)
    assert await ids(storage) == ["parent", "parent/1"]
    assert await hot(storage) == ["parent/1"]


async def test_a_parent_stays_while_a_child_is_unfinished(storage):
    await ended(storage, "parent", 9 * DAY)
    await ended(storage, "parent/1", 9 * DAY, parent="parent")
    child = await storage.create(a_run("parent/1/1", parent=Parent(RunId("parent/1"), "0:child#1")))
    await committed(storage, move(child, STATES.RUNNING), move(child, STATES.BLOCKED))
    assert (await keeper(storage, Retention(None, "1d")).round()).deleted == 0
    assert len(await ids(storage)) == 3


async def test_children_go_with_the_run_that_began_their_line(storage):
    await ended(storage, "parent", 9 * DAY, workflow="outer")
    await ended(storage, "parent/1", 9 * DAY, parent="parent", workflow="inner")
    await ended(storage, "parent/1/1", 9 * DAY, parent="parent/1", workflow="inner")
    await ended(storage, "alone", 9 * DAY, workflow="inner")
    done = await keeper(storage, workflows={"outer": Retention(delete_after="1d")}).round()
    assert done.deleted == 3
    assert await ids(storage) == ["alone"]


async def test_children_stay_as_long_as_the_run_that_began_their_line(storage):
    await ended(storage, "parent", HOUR)
    await ended(storage, "parent/1", 9 * DAY, parent="parent")
    assert (await keeper(storage, Retention(None, "1d")).round()).deleted == 0


async def test_a_run_that_somebody_wants_to_try_again_stays(storage):
    run = await ended(storage, "r", 9 * DAY, state=STATES.FAILED)
    await committed(storage, Deliver(Delivery(run.id, DeliveryKind.RETRY, "", b"null", NOW)))
    policy = Retention(None, "1d")
    assert (await keeper(storage, policy).round()).deleted == 0
    number = await number_of(storage, "r")
    assert await storage.write(partial(finished.delete_runs, numbers=[number], before=NOW)) == 0


def a_row(table: Table, number: int, id: str) -> dict[str, object]:
    """Whatever a table takes, as of this run."""
    of_type = {"TEXT": id, "BLOB": b"x", "DOUBLE": 1.0, "BOOLEAN": False, "INTEGER": 1, "BIGINT": 1}
    row = {
        column.name: of_type[str(column.type.compile(sqlite.dialect()))]
        for column in table.columns
        if column.name != "id" or isinstance(column.type, Text)
    }
    return row | {"run_number": number} if "run_number" in row else row


async def test_everything_that_belongs_to_a_run_goes_with_it_and_nothing_else(storage):
    tables = [*finished.belongings(), metadata.tables["decisions"]]
    assert {"journal", "archives", "archive_values", "reviews", "inbox", "event_keys", "chunks"} <= {
        table.name for table in tables
    }
    for id in ("gone", "kept"):
        await ended(storage, id, payloads=(), workflow=id)
        number = await number_of(storage, id)
        for table in tables:
            insertion = table.insert().values(a_row(table, number, id))
            await storage.write(partial(Connection.execute, statement=insertion))
    assert (await keeper(storage, Retention(None), {"gone": Retention(None, "0s")}).round()).deleted == 1
    counts = {table.name: await rows(storage, f"SELECT count(*) FROM {table.name}") for table in tables}
    assert counts == {table.name: [(1,)] for table in tables}
    assert await ids(storage) == ["kept"]


async def test_what_belongs_to_runs_is_found_by_an_index(storage):
    for table, column in finished.belongings().items():
        plan = await rows(storage, f"EXPLAIN QUERY PLAN DELETE FROM {table.name} WHERE {column} IN (1, 2)")
        assert all("SEARCH" in step[3] for step in plan if table.name in step[3]), plan


async def test_long_values_go_with_the_last_that_refers_to_them(storage):
    shared, own = LONG + b"shared", LONG + b"own"
    await ended(storage, "a", 9 * DAY, payloads=(shared, own), input=LONG)
    await ended(storage, "b", 9 * DAY, payloads=(shared,))
    await ended(storage, "c", HOUR, payloads=(shared,), input=LONG)
    await archive(storage, "b")
    values = len(await rows(storage, "SELECT digest FROM blobs"))
    policy = Retention(None, "1d")
    done = await keeper(storage, policy).round()
    left = len(await rows(storage, "SELECT digest FROM blobs"))
    assert (done.deleted, values - left) == (2, done.values)
    assert 0 < left < values
    assert [entry.payload for entry in await entries_of(storage, "c")] == [shared]
    found = await storage.load(RunId("c"))
    assert found.run.input == LONG


async def test_archived_entries_keep_their_long_values(storage):
    await ended(storage, "a", 9 * DAY, payloads=(LONG,))
    await archive(storage, "a")
    assert (await keeper(storage, Retention(None)).sweep()).values == 0
    assert [entry.payload for entry in await entries_of(storage, "a")] == [LONG]


async def test_a_value_stored_again_after_it_was_marked_stays(storage):
    await ended(storage, "a", 9 * DAY, payloads=(LONG,))
    await storage.write(partial(finished.delete_runs, numbers=[await number_of(storage, "a")], before=NOW))
    marked = await storage.read(sweeping.mark)
    assert marked.unused
    await ended(storage, "b", payloads=(LONG,))
    remove = partial(sweeping.remove, unused=marked.unused, since=marked.since)
    assert await storage.write(remove) == 0
    assert [entry.payload for entry in await entries_of(storage, "b")] == [LONG]


async def test_what_two_values_have_in_common_stays_with_the_one_that_is_left(storage):
    text = random.Random(1).randbytes(100_000).hex().encode()
    common, gone, left = b'"' + text + b'"', b'"gone' + text + b'"', b'"' + text + b'left"'
    await ended(storage, "a", 9 * DAY, payloads=(common, gone))
    await ended(storage, "b", HOUR, payloads=(left,))
    await archive(storage, "b")
    ((before,),) = await rows(storage, "SELECT count(*) FROM blobs")
    done = await keeper(storage, Retention(None, "1d")).round()
    ((after,),) = await rows(storage, "SELECT count(*) FROM blobs")
    assert 0 < done.values == before - after < before / 2
    assert [entry.payload for entry in await entries_of(storage, "b")] == [left]
    await storage.write(partial(finished.delete_runs, numbers=[await number_of(storage, "b")], before=NOW))
    await keeper(storage, Retention(None)).sweep()
    assert await rows(storage, "SELECT count(*) FROM blobs") == [(0,)]


async def test_a_value_stored_in_the_middle_of_a_sweep_is_whole(storage):
    text = b'"' + random.Random(2).randbytes(100_000).hex().encode() + b'"'
    await ended(storage, "a", 9 * DAY, payloads=(text,))
    await storage.write(partial(finished.delete_runs, numbers=[await number_of(storage, "a")], before=NOW))
    marked = await storage.read(sweeping.mark)
    size = len(marked.unused) // 7
    slices = [marked.unused[at : at + size] for at in range(0, len(marked.unused), size)]
    for number, some in enumerate(slices):
        if number == 3:
            await ended(storage, "b", payloads=(text,))
        remove = partial(sweeping.remove, unused=some, since=marked.since)
        removed = await storage.write(remove)
        assert (removed == 0) is (number >= 3)
    assert [entry.payload for entry in await entries_of(storage, "b")] == [text]


async def test_a_sweep_that_cannot_know_any_more_what_was_stored_gives_up(storage):
    await ended(storage, "a", 9 * DAY, payloads=(LONG,))
    await storage.write(partial(finished.delete_runs, numbers=[await number_of(storage, "a")], before=NOW))
    marked = await storage.read(sweeping.mark)

    def much_is_stored(conn) -> int:
        many = [{"tenant": "default", "digest": b"d"}] * (sweeping.REMEMBERED + 5)
        conn.execute(metadata.tables["kept_values"].insert(), many)
        return sweeping.forget(conn, 1000)

    assert await storage.write(much_is_stored) > 0
    remove = partial(sweeping.remove, unused=marked.unused, since=marked.since)
    assert await storage.write(remove) is None
    assert await rows(storage, "SELECT digest FROM blobs")


async def test_the_id_of_a_deleted_run_may_be_used_again(storage):
    await ended(storage, "r", 9 * DAY, payloads=(b'"old"',))
    await archive(storage, "r")
    assert (await keeper(storage, Retention(None, "1d")).round()).deleted == 1
    await ended(storage, "r", payloads=(b'"new"',))
    assert [entry.payload for entry in await entries_of(storage, "r")] == [b'"new"']


def test_a_policy_that_says_nothing_sensible_is_refused():
    with pytest.raises(InvalidInput, match="no duration"):
        Retention(archive_after="soon")
    with pytest.raises(InvalidInput, match="without delete_after"):
        Retention(keep_failed="90d")
    with pytest.raises(InvalidInput, match="share"):
        RetentionSettings(share=0)
    with pytest.raises(InvalidInput, match="every"):
        RetentionSettings(every=-1)


def test_ages_are_what_the_policy_says():
    assert MONTH.delete_age(STATES.COMPLETED) == 30 * DAY
    assert MONTH.delete_age(STATES.FAILED) == 90 * DAY
    assert Retention(delete_after="1d").delete_age(STATES.FAILED) == DAY
    assert Retention().delete_age(STATES.COMPLETED) is None
    assert Retention(archive_after=None).archive_age is None
