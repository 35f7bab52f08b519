"""Starting over without losing what was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from podium.settings import StorageSettings
from podium.storage.sqlite.database import open_sqlite


async def put_aside(database: Path, also: Sequence[Path] = ()) -> Path | None:
    """Rename a database to `NAME.before-TIME`, and the files that go with it (`also`) likewise.

    Returns the database's new path, None without a database. Raises `StorageUnavailable`, with nothing renamed,
    when a process is working on the database, or when it is no database of ours.
    """
    stamp = _free_stamp([database, *also])
    if not database.exists():  # noqa: ASYNC240 - one look, before there is any work to hold up
        _rename(also, stamp)
        return None
    # Opened and closed by an owner, it is one whole file, with nothing left in a log beside it.
    storage = await open_sqlite(database, settings=StorageSettings(), own=True)
    await storage.close()
    _rename([database], stamp)
    _rename(also, stamp)
    return _aside(database, stamp)


def _rename(files: Sequence[Path], stamp: str) -> None:
    for file in files:
        # What another program keeps in SQLite may have been left with its log beside it.
        for part in (file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm"), file):
            if part.exists():
                aside = _aside(file, stamp)
                part.rename(aside.with_name(aside.name + part.name.removeprefix(file.name)))


def _aside(file: Path, stamp: str) -> Path:
    return file.with_name(f"{file.name}.before-{stamp}")


def _free_stamp(files: Sequence[Path]) -> str:
    now = time.strftime("%Y%m%d-%H%M%S")
    stamp, count = now, 1
    while any(_aside(file, stamp).exists() for file in files):
        count += 1
        stamp = f"{now}-{count}"
    return stamp
