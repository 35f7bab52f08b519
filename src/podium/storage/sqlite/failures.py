"""What SQLite's errors mean to whoever runs Podium, in one line."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from podium.domain.errors import PodiumError, StorageUnavailable

_MEANING: Final = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space and start again"),
    sqlite3.SQLITE_IOERR: ("the disk reported an error", "Check the disk before starting again"),
    sqlite3.SQLITE_READONLY: ("the file may only be read", "Allow this user to write it and its folder"),
    sqlite3.SQLITE_CANTOPEN: ("the file cannot be opened", "Check the path, its permissions and free space"),
    sqlite3.SQLITE_BUSY: ("another process keeps it locked", "End that process, or wait until it is done"),
    sqlite3.SQLITE_PROTOCOL: (
        "another process keeps it locked",
        "End that process, or wait until it is done",
    ),
    sqlite3.SQLITE_CORRUPT: ("its contents are damaged", "Restore a copy, or choose another file"),
    sqlite3.SQLITE_NOTADB: (
        "it is not an SQLite database",
        "Choose another file; this one was left as it is",
    ),
    sqlite3.SQLITE_NOMEM: ("memory ran out", "Free some memory and start again"),
}
"""The failures that concern the whole database: what each is, and what to do about it."""


def driver_error(error: BaseException) -> sqlite3.Error | None:
    """Return the driver's error in `error`, or None when it came from elsewhere."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause if isinstance(cause, sqlite3.Error) else None


def concerns_the_database(error: BaseException) -> bool:
    """Return whether after `error` nothing more can be written, whatever statement it was."""
    cause = driver_error(error)
    return cause is not None and _primary_code(cause) in _MEANING


def cannot_open(path: Path, error: BaseException) -> StorageUnavailable:
    """Return the error for a database that cannot be opened because of `error`."""
    cause, remedy = _explain(error)
    return StorageUnavailable(f"The database {path} cannot be opened: {cause}. {remedy}.")


def cannot_read(path: Path, error: BaseException) -> StorageUnavailable | None:
    """Return the error for a database that cannot be read because of `error`, None if that was the query's fault."""
    cause = driver_error(error)
    # Readers are not allowed to write: what is read-only for them is not the file.
    if not concerns_the_database(error) or (cause and _primary_code(cause) == sqlite3.SQLITE_READONLY):
        return None
    what, remedy = _explain(error)
    return StorageUnavailable(f"The database {path} cannot be read: {what}. {remedy}.")


def cannot_write(path: Path, error: BaseException) -> StorageUnavailable:
    """Return the error for a database that can no longer be written because of `error`."""
    cause, remedy = _explain(error)
    return StorageUnavailable(
        f"The database {path} can no longer be written: {cause}. Nothing unwritten was acknowledged. {remedy}."
    )


def _explain(error: BaseException) -> tuple[str, str]:
    cause = driver_error(error)
    known = _MEANING.get(_primary_code(cause)) if cause else None
    if cause and known:
        what, remedy = known
        return f"{what} ({cause.sqlite_errorname}: {_one_line(cause)})", remedy
    if isinstance(error, PodiumError):
        return _one_line(error).rstrip("."), "Start again once that is settled"
    return f"{type(error).__name__}: {_one_line(error)}", "This is a fault in the program; please report it"


def _primary_code(error: sqlite3.Error) -> int:
    # Errors that the driver raises of itself carry no code. The low byte is the class, the rest a detail.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]
