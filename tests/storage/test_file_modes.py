"""Who may read a database: its owner, unless somebody has decided otherwise."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.app.database import make_database
from podium.settings import StorageSettings
from podium.storage.sqlite.database import open_sqlite


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_a_new_database_and_its_companions_are_its_owners_alone(tmp_path):
    opened = await open_sqlite(tmp_path / "podium.db", settings=StorageSettings(), own=True)
    found = modes(tmp_path)
    await opened.close()
    assert found == dict.fromkeys(("podium.db", "podium.db-wal", "podium.db-shm", "podium.db.lock"), 0o600)


async def test_an_existing_database_is_left_as_it_is_and_its_companions_follow_it(tmp_path):
    path = tmp_path / "podium.db"
    await make_database(path)
    path.chmod(0o660)
    (tmp_path / "podium.db.lock").unlink()
    os.umask(0)
    opened = await open_sqlite(path, settings=StorageSettings(), own=True)
    found = modes(tmp_path)
    await opened.close()
    assert found == dict.fromkeys(("podium.db", "podium.db-wal", "podium.db-shm", "podium.db.lock"), 0o660)
