"""Power failures while a database is made, or brought from an older revision of its tables to the present one."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from chaos.disk import Disk, Fault, Plan
from chaos.part import Effort, Outcome
from chaos.stored import read
from chaos.vfs import faulty_vfs
from chaos.watched import database_of
from podium import StorageSettings, StorageUnavailable
from podium.storage.revision import HEAD, alembic_config, revision_of
from podium.storage.sqlite import identity
from podium.storage.sqlite.connections import connect, driver, single_connection
from podium.storage.sqlite.database import open_sqlite

CALLS = 40
"""How late the power may fail, in writes or syncs."""

OLDEST = "0001"
SETTINGS = StorageSettings()


def revisions() -> Sequence[str | None]:
    """Return what a database may be before it is opened: none, or one of each revision before the present."""
    return [None, *[f"{number:04}" for number in range(1, int(HEAD))]]


def upgrades(effort: Effort) -> Outcome:
    """Let the power fail during upgrades from each revision in turn."""
    outcome = Outcome()
    known = revisions()
    for number, dice, folder in effort.rounds("upgrades", least=len(known)):
        revision = known[number % len(known)]
        told = asyncio.run(interrupted(folder, revision, dice, outcome))
        outcome.violations += [f"upgrades, round {number} from revision {revision}: {each}" for each in told]
        shutil.rmtree(folder)
    return outcome


async def interrupted(folder: Path, revision: str | None, dice: random.Random, outcome: Outcome) -> list[str]:
    """Let the power fail while a database of that revision is opened; return what is wrong afterwards."""
    made = folder / "made"
    made.mkdir(parents=True)
    if revision is not None:
        _make(database_of(made), revision)
    at_write = dice.random() < 0.7
    fault = Fault.POWER_FAILS_AT_WRITE if at_write else Fault.POWER_FAILS_BEFORE_SYNC
    disk = Disk(made, dice)
    disk.plan(Plan(fault, dice.randint(1, CALLS if at_write else CALLS // 10)))
    with faulty_vfs().as_default(disk):
        try:
            await (await open_sqlite(database_of(made), settings=SETTINGS, own=True)).close()
        except StorageUnavailable:
            if disk.struck is None:
                return ["it was called unusable, and nothing had happened to it"]
        except Exception as error:  # noqa: BLE001 - whatever else comes out is not what was promised
            return [f"opening raised {error!r}"]
    outcome.tried["during a migration"] += disk.struck is not None
    left = folder / "left"
    disk.image(left, power_failed=True)
    try:
        storage = await open_sqlite(database_of(left), settings=SETTINGS, own=True)
    except StorageUnavailable as error:
        return [f"it cannot be opened any more: {error}"]
    found = await storage.read(revision_of)
    await storage.close()
    stored = read(database_of(left))
    lost = revision is not None and "kept" not in stored.runs
    return [
        *stored.faults,
        *([f"its revision is {found}"] if found != HEAD else []),
        *(["the run in it is lost"] if lost else []),
    ]


def _make(path: Path, revision: str) -> None:
    """Make a database as that revision left it, with a run in it."""
    from alembic import command

    conn = single_connection(partial(connect, path, SETTINGS, create=True))
    with closing(conn):
        raw = driver(conn)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("BEGIN IMMEDIATE")
        raw.execute(f"PRAGMA application_id = {identity.APPLICATION_ID}")
        # Begins SQLAlchemy's own view of the transaction, in which Alembic then stays.
        revision_of(conn)
        command.upgrade(alembic_config(conn), OLDEST)
        raw.execute(
            "INSERT INTO runs (id, tenant, workflow, state, created_at, seed, input_tokens, output_tokens, cost_nanos,"
            " active_seconds, output) VALUES ('kept', 'default', 'order', 'completed', 1, 1, 0, 0, 0, 0, '1')"
        )
        command.upgrade(alembic_config(conn), revision)
        raw.execute("COMMIT")
