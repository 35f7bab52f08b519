"""Finished runs of any age, and a keeper that looks at them at a chosen time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.app.retention import Keeper
from podium.domain.ids import RunId
from podium.domain.journal import Entry
from podium.domain.retention import Retention
from podium.domain.runs import Parent, Run
from podium.domain.states import RunState
from podium.ports.journal import Append
from podium.settings import RetentionSettings
from podium.storage.archives import archive_generation
from podium.storage.sqlite.connections import driver
from podium.storage.sqlite.database import SqliteStorage
from tests.storage.support import a_run, an_entry, committed, move

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 1_800_000_000.0
LONG = b'"' + b"long " * 5_000 + b'"'


async def ended(
    storage: SqliteStorage,
    id: str,
    age: float = 0.0,
    *,
    state: RunState = RunState.COMPLETED,
    payloads: tuple[bytes, ...] = (b'"one"', b'"two"'),
    parent: str | None = None,
    **fields: Any,
) -> Run:
    """A run that came to `state` so many seconds before `NOW`, with an entry for each payload."""
    if parent is not None:
        fields["parent"] = Parent(RunId(parent), "0:child#1")
    run = await storage.create(a_run(id, **fields))
    entries = [Append(an_entry(run.id, seq, payload)) for seq, payload in enumerate(payloads, 1)]
    await committed(storage, move(run, RunState.RUNNING), *entries, move(run, state, at=NOW - age))
    return run


def keeper(
    storage: SqliteStorage,
    default: Retention | None = None,
    workflows: Mapping[str, Retention] | None = None,
    workflow: str | None = None,
) -> Keeper:
    settings = RetentionSettings(default=default or Retention(), workflows=workflows or {}, share=1.0)
    return Keeper(storage, settings, workflow=workflow, clock=lambda: NOW)


async def rows(storage: SqliteStorage, query: str, *values: object) -> list[Any]:
    return await storage.read(lambda conn: driver(conn).execute(query, values).fetchall())


async def ids(storage: SqliteStorage) -> list[str]:
    """The runs that are there."""
    return [id for (id,) in await rows(storage, "SELECT id FROM runs ORDER BY id")]


async def hot(storage: SqliteStorage) -> list[str]:
    """The runs that have entries in the journal."""
    query = "SELECT DISTINCT id FROM runs JOIN journal ON run_number = number ORDER BY id"
    return [id for (id,) in await rows(storage, query)]


async def number_of(storage: SqliteStorage, run: str) -> int:
    ((number,),) = await rows(storage, "SELECT number FROM runs WHERE id = ?", run)
    return int(number)


async def archive(storage: SqliteStorage, run: str, generation: int = 0) -> None:
    number = await number_of(storage, run)
    assert await storage.write(lambda conn: archive_generation(conn, number, generation)) is not None


async def entries_of(storage: SqliteStorage, run: str) -> list[Entry]:
    found = await storage.load(RunId(run))
    assert found is not None
    return list(found.entries)
