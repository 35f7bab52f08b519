"""Starting over without losing what was."""

from __future__ import annotations

import time
from pathlib import Path

from podium.domain.errors import StorageUnavailable
from podium.storage.sqlite.lock import is_owned


def put_aside(database: Path) -> Path | None:
    """Rename a database and its side files to `NAME.before-TIME`; returns the new name, None without a database.

    Raises `StorageUnavailable` when a process is working on it.
    """
    if not database.exists():
        return None
    if is_owned(database):
        raise StorageUnavailable(
            f"{database} is in use by another process; stop that first, then start over."
        )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = database.with_name(f"{database.name}.before-{stamp}")
    for suffix in ("-wal", "-shm", ""):
        part = database.with_name(database.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
