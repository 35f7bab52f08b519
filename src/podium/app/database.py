"""A database looked at from outside: for whoever reads runs and decides reviews beside the process that owns it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from podium.app.budgets import BudgetList
from podium.app.gateway_status import GatewayView
from podium.app.keys import Keys
from podium.app.prompts import Prompts
from podium.app.queues import QueueList
from podium.app.requests import Requests
from podium.app.reviews import Reviews
from podium.app.runs import Runs
from podium.app.triggers import Triggers
from podium.domain.errors import StorageUnavailable
from podium.domain.ids import checked_tenant
from podium.domain.runs import DEFAULT_TENANT
from podium.ports.storage import Storage
from podium.settings import StorageSettings
from podium.storage.sqlite.database import open_sqlite
from podium.storage.sqlite.lock import is_owned


@dataclass(frozen=True, slots=True)
class Database:
    """All that a database holds, by use-case, and the database itself for others."""

    path: Path
    runs: Runs
    reviews: Reviews
    triggers: Triggers
    queues: QueueList
    gateway: GatewayView
    budgets: BudgetList
    prompts: Prompts
    keys: Keys
    requests: Requests
    storage: Storage

    def is_owned(self) -> bool:
        """Return whether a process works on it at this moment."""
        return is_owned(self.path)


def existing(path: Path) -> Path:
    """Return `path`; raises `StorageUnavailable` when there is no such file."""
    if not path.exists():
        raise StorageUnavailable(
            f"there is no database {path}. Start something first (`podium run FILE.py:workflow ...`), or name "
            "another one with --db or PODIUM_DATABASE."
        )
    return path


@asynccontextmanager
async def open_database(path: Path, tenant: str = DEFAULT_TENANT) -> AsyncIterator[Database]:
    """Open an existing database without owning it; raises `StorageUnavailable` when it is not there or not ours.

    Its runs, reviews, keys and requests are the tenant's.
    """
    checked_tenant(tenant)
    storage = await open_sqlite(existing(path), settings=StorageSettings(), own=False)
    try:
        yield Database(
            path,
            Runs(storage, tenant),
            Reviews(storage, tenant),
            Triggers(storage),
            QueueList(storage),
            GatewayView(storage),
            BudgetList(storage),
            Prompts(storage),
            Keys(storage, tenant),
            Requests(storage, tenant),
            storage,
        )
    finally:
        await storage.close()


async def make_database(path: Path) -> None:
    """Make the database if there is none; raises `StorageUnavailable` when that cannot be done."""
    if not path.exists():  # noqa: ASYNC240 - one look at the file system, before there is any work to hold up
        storage = await open_sqlite(path, settings=StorageSettings(), own=True)
        await storage.close()
