"""Starting over without losing what was."""

from __future__ import annotations

import time
from pathlib import Path

from podium.settings import StorageSettings
from podium.storage.sqlite.database import open_sqlite


async def put_aside(database: Path) -> Path | None:
    """Rename a database to `NAME.before-TIME`; returns the new path, None without a database.

    Raises `StorageUnavailable` when a process is working on it, or when it is no database of ours.
    """
    if not database.exists():  # noqa: ASYNC240 - one look, before there is any work to hold up
        return None
    # Opened and closed by an owner, it is one whole file, with nothing left in a log beside it.
    storage = await open_sqlite(database, settings=StorageSettings(), own=True)
    await storage.close()
    aside = _free_name(database)
    database.rename(aside)  # noqa: ASYNC240
    return aside


def _free_name(database: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = database.with_name(f"{database.name}.before-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = database.with_name(f"{database.name}.before-{stamp}-{count}")
    return aside
