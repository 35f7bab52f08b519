"""How much of its file a database fills, and how the rest is given back."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from podium.storage.owner import get_owner
from podium.storage.sqlite import identity, lock
from podium.storage.sqlite.connections import connect, driver, single_connection
from podium.storage.sqlite.failures import cannot_write

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.settings.storage import StorageSettings


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes: of the `file`, its write-ahead log apart, and of the part of it that is `free` for what comes."""

    file: int
    free: int

    @property
    def used(self) -> int:
        """The bytes that hold something."""
        return self.file - self.free


def space(conn: Connection) -> Space:
    """Return how much of its file the database fills."""
    raw = driver(conn)
    size, pages, free = (
        raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    return Space(size * pages, size * free)


def vacuum(path: Path, settings: StorageSettings) -> Space:
    """Write the database at `path` anew without its free space, and give that back to the system.

    It takes the file for itself, and up to twice its size on the disk meanwhile; interrupted, it leaves everything
    as it was. Returns what the database fills then. Raises `StorageUnavailable` when another process owns the
    database, or the disk is full.
    """
    path = path.resolve()
    identity.check_path(path, create=False)
    held = lock.take_lock(path)
    conn = single_connection(partial(connect, path, settings))
    try:
        if held is None:
            raise lock.owned_by(path, get_owner(conn))
        raw = driver(conn)
        conn.rollback()
        raw.execute("VACUUM")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return space(conn)
    except (sqlite3.Error, SQLAlchemyError) as error:
        raise cannot_write(path, error) from error
    finally:
        conn.close()
        if held is not None:
            held.release()
