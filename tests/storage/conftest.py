"""A fresh database, owned by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium.storage.sqlite.database import SqliteStorage
from tests.storage.support import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "podium.db"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[SqliteStorage]:
    storage = await opened(path)
    yield storage
    await storage.close()
