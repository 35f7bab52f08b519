"""Connections to one SQLite file, all opened alike."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event

from podium.settings.storage import StorageSettings

READERS: Final = 4
"""How many reads may go on at once."""

OWNER_ONLY: Final = 0o600
"""Who may read and write a new file: it holds what was said, and what it is worth to others is not known here."""


def connect(path: Path, settings: StorageSettings, *, create: bool = False) -> sqlite3.Connection:
    """Open the file, which must exist unless it may be `create`d, for this user alone.

    Transactions begin only where we say so.
    """
    if create:
        # Its write-ahead log and shared memory get what the file has.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
    raw = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=settings.busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        raw.execute(f"PRAGMA synchronous = {settings.synchronous}")
        raw.execute("PRAGMA cache_size = -16384")
        raw.execute("PRAGMA temp_store = MEMORY")
        # The log is carried over into the database every 32 MB, four times rarer than by default: each time, one
        # commit waits for it. Whatever size it grew to meanwhile, it is cut back to 64 MB.
        raw.execute("PRAGMA wal_autocheckpoint = 4096")
        raw.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        raw.close()
        raise
    return raw


def driver(conn: Connection) -> sqlite3.Connection:
    """Return the driver's connection under SQLAlchemy's."""
    return cast("sqlite3.Connection", conn.connection.driver_connection)


def reading_engine(path: Path, settings: StorageSettings) -> Engine:
    """Return an engine whose connections cannot write, and see one state of the database in each transaction."""

    def read_only() -> sqlite3.Connection:
        raw = connect(path, settings)
        raw.execute("PRAGMA query_only = ON")
        return raw

    engine = create_engine(
        "sqlite://", creator=read_only, poolclass=QueuePool, pool_size=READERS, max_overflow=0
    )
    event.listen(engine, "begin", _begin)
    return engine


def single_connection(opening: Callable[[], sqlite3.Connection]) -> Connection:
    """Return a connection whose transactions are in the hands of its only user, through the driver."""
    return create_engine("sqlite://", creator=opening, poolclass=NullPool).connect()


def _begin(conn: Connection) -> None:
    conn.exec_driver_sql("BEGIN")
