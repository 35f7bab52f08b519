"""The real engine on disks that fail: no promise is broken, whatever the disk does; and chaos would see it if one were."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chaos.disk import STRIKES_AT, Call, Disk, Fault, Plan
from chaos.disks import strike
from chaos.lives import Database, Work, empty_database
from chaos.part import Outcome
from chaos.vfs import faulty_vfs
from chaos.watched import database_of
from tests.support.programs import tree_of

SEED = 20261120


def a_database(tmp_path: Path, seed: int = SEED, synchronous: str = "FULL") -> Database:
    return Database(
        tmp_path / f"database-{seed}", random.Random(seed), template=empty_database(), synchronous=synchronous
    )


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_disk_does_no_promise_is_broken(tmp_path: Path, seed: int):
    database, outcome = a_database(tmp_path, seed), Outcome()
    await strike(database, outcome)
    assert database.ledger.violations == []
    assert outcome.tried.total() >= 4


async def test_chaos_sees_it_when_commits_are_not_synced(tmp_path: Path):
    broken = []
    for seed in range(3):
        database = a_database(tmp_path, seed, synchronous="OFF")
        # Torn pages may leave rows that nobody can read: an error is one more way of seeing it.
        with contextlib.suppress(Exception):
            await strike(database, Outcome())
        broken += database.ledger.violations
    assert any("was started, and is lost" in violation for violation in broken)
    assert any("was acknowledged" in violation for violation in broken)


@pytest.mark.parametrize("fault", [Fault.WRITE_FAILS, Fault.DISK_FULL, Fault.WRITE_IS_TORN, Fault.READ_FAILS])
async def test_each_fault_strikes_and_everybody_who_waits_is_told(tmp_path: Path, fault: Fault):
    database = a_database(tmp_path)
    disk = await database.live(Work(6), Plan(fault, 12))
    assert disk.struck == Plan(fault, 12)
    database.crash(disk, power_failed=False)
    await database.end(Work(6))
    assert database.ledger.violations == []


@pytest.mark.parametrize("at", [1, 2, 7])
async def test_a_failed_fsync_is_final_and_the_log_is_not_written_again(tmp_path: Path, at: int):
    database = a_database(tmp_path)
    disk = await database.live(Work(8), Plan(Fault.SYNC_FAILS, at))
    assert disk.struck is not None
    assert disk.written_after_failed_sync == 0
    acknowledged = len(database.ledger.entries)
    stored = database.crash(disk, power_failed=True)
    assert len(stored.journal) >= acknowledged
    await database.end(Work(8))
    assert database.ledger.violations == []


@pytest.mark.parametrize("at", [1, 2, 5, 9, 14])
async def test_a_power_failure_during_a_checkpoint_breaks_no_promise(tmp_path: Path, at: int):
    database = a_database(tmp_path, seed=at)
    work = Work(4, [tree_of(8, random.Random(at))])
    # Only checkpoints write to the database itself: here after every few pages.
    plan = Plan(Fault.POWER_FAILS_AT_WRITE, at, database_of(database.folder).name)
    disk = await database.live(work, plan, checkpoint=3)
    assert disk.struck == plan
    database.crash(disk, power_failed=True)
    await database.end(work)
    assert database.ledger.violations == []


def test_files_elsewhere_are_left_alone(tmp_path: Path):
    (tmp_path / "ours").mkdir()
    disk = Disk(tmp_path / "ours", random.Random(1))
    disk.cut()
    with faulty_vfs().as_default(disk), closing(sqlite3.connect(tmp_path / "theirs.db")) as connection:
        connection.execute("CREATE TABLE fine (x)")
        assert connection.execute("SELECT count(*) FROM fine").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            sqlite3.connect(tmp_path / "ours" / "new.db").execute("SELECT 1 FROM sqlite_master")


def test_every_fault_says_which_calls_it_counts():
    assert STRIKES_AT.keys() == set(Fault)
    assert set(STRIKES_AT.values()) == set(Call)
