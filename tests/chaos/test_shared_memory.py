"""Shared memory that fails under the log: a rare failure, which has to be told like any other."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from chaos.disk import Disk, Fault, Plan
from chaos.lives import empty_database
from chaos.vfs import faulty_vfs
from podium import StorageSettings, StorageUnavailable
from podium.storage.sqlite.database import open_sqlite
from podium.storage.sqlite.lock import is_owned


async def watched_until_it_fails(path: Path, disk: Disk) -> None:
    storage = await open_sqlite(path, settings=StorageSettings(), own=True)
    try:
        while disk.struck is None:
            storage.changed_elsewhere()
    finally:
        await storage.close()


@pytest.mark.parametrize("at", [*range(1, 24), 30])
async def test_shared_memory_that_fails_is_told_in_our_own_words(tmp_path: Path, at: int):
    path = Path(shutil.copy(empty_database(), tmp_path / "podium.db"))
    disk = Disk(tmp_path, random.Random(at))
    disk.plan(Plan(Fault.SHARED_MEMORY_FAILS, at))
    with (
        faulty_vfs().as_default(disk),
        pytest.raises(StorageUnavailable, match=r"cannot be (opened|read): the disk reported an error"),
    ):
        await watched_until_it_fails(path, disk)
    assert not is_owned(path)
