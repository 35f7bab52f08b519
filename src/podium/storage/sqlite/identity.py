"""Is this file ours? Told before anything in it is touched."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from podium.domain.errors import StorageUnavailable

APPLICATION_ID: Final = 0x506F6469
"""Marks a file as Podium's, in the field of SQLite's header that is meant for it ("Podi")."""


def check_path(path: Path, *, create: bool) -> None:
    """Raise `StorageUnavailable` unless `path` can be a database: a file, or none yet if it may be created.

    What is in the file is for SQLite alone to see: were we to open it ourselves, closing it again would drop the
    locks of every connection that this process has to it, and another process could take away the log that they
    write to.
    """
    if path.is_dir():
        raise _refuse(path, "it is a directory", f"Name a file in it, such as {path / 'podium.db'}.")
    if not path.parent.is_dir():
        raise _refuse(
            path, f"there is no folder {path.parent}", "Create that folder, or choose another path."
        )
    if not path.exists():
        if not create:
            raise _refuse(path, "there is no such file", "Start a run on it first, or check the path.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise _refuse(path, "its folder may not be written", "Allow that, or choose another path.")
        return
    if not path.is_file():
        raise _refuse(path, "it is not a regular file", "Choose another path.")
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise _refuse(path, "this user may not write it", "Allow that for the file and its folder.")


def is_empty(path: Path, raw: sqlite3.Connection) -> bool:
    """Return whether the database holds no tables; raises `StorageUnavailable` when it is another program's."""
    (tables,) = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = raw.execute("PRAGMA application_id").fetchone()
    if tables and application != APPLICATION_ID:
        raise _refuse(
            path, "it is another program's database", "Choose another file; this one was left as it is."
        )
    return not tables


def no_shared_memory(path: Path) -> StorageUnavailable:
    """Return the error for a file on a disk on which processes cannot share the write-ahead log."""
    return _refuse(
        path, "its disk offers no shared memory, as network disks do not", "Choose a path on a local disk."
    )


def newer_revision(path: Path, revision: str) -> StorageUnavailable:
    """Return the error for a database whose tables have a revision that this code does not know."""
    return _refuse(
        path,
        f"it was written by a newer Podium (its tables have revision {ascii(revision)[1:-1]})",
        "Install that version or a later one; the file was left as it is.",
    )


def older_revision(path: Path, revision: str | None) -> StorageUnavailable:
    """Return the error for a database that must be brought up to date while another process owns it."""
    return _refuse(
        path,
        f"an older Podium works on it (its tables have revision {revision})",
        "End that process; the next one to open the file brings it up to date.",
    )


def _refuse(path: Path, why: str, remedy: str) -> StorageUnavailable:
    return StorageUnavailable(f"The database {path} cannot be used: {why}. {remedy}")
