from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium.storage.sqlite.database import SqliteStorage
from tests.budgets.support import storage_on
from tests.support.fixtures import database, empty_database

__all__ = ["database", "empty_database"]


@pytest.fixture
async def storage(database: Path) -> AsyncIterator[SqliteStorage]:
    async with storage_on(database) as storage:
        yield storage
