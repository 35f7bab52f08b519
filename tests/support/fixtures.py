"""Fixtures shared by the tests of flow, engine and app."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from podium.settings import StorageSettings
from podium.storage.sqlite.database import open_sqlite


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and nothing in them, made once because making it takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "podium.db"

    async def make() -> None:
        await (await open_sqlite(path, settings=StorageSettings(), own=True)).close()

    asyncio.run(make())
    return path


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "podium.db"))
