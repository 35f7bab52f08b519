"""Ownership of a database: one process at a time, known by a lock that the system releases when it dies."""

from __future__ import annotations

import os
import socket
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from podium.domain.errors import StorageUnavailable
from podium.storage.owner import Owner
from podium.storage.sqlite.connections import OWNER_ONLY

if TYPE_CHECKING:
    from filelock import BaseFileLock

# Somebody who only looks whether the lock is held, holds it for a moment.
_PATIENCE: Final = 0.5


def lock_path(path: Path) -> Path:
    """Return the path of the lock of the database at `path`."""
    return path.with_name(f"{path.name}.lock")


def take_lock(path: Path) -> BaseFileLock | None:
    """Take the lock of the database at `path` and return it, or None when another process holds it."""
    # An existing lock keeps its mode.
    lock = FileLock(lock_path(path), mode=_mode(path), thread_local=False)
    try:
        lock.acquire(timeout=_PATIENCE, poll_interval=0.02)
    except Timeout:
        if not lock_path(path).exists():
            raise _unwritable(path, "its folder takes no new files") from None
        return None
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    return lock


def _mode(path: Path) -> int:
    """Return who may use the lock: whoever may use the database."""
    try:
        return path.stat().st_mode & 0o666
    except OSError:
        return OWNER_ONLY


def is_owned(path: str | Path) -> bool:
    """Return whether some process owns the database at `path` at this moment."""
    file = lock_path(Path(path).resolve())
    if not file.exists():
        return False
    lock = FileLock(file, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def this_process() -> Owner:
    """Return the running process as an owner since now."""
    return Owner(pid=os.getpid(), host=socket.gethostname(), command=_command(), since=time.time())


def owned_by(path: Path, owner: Owner | None) -> StorageUnavailable:
    """Return the error for a database that another process, `owner` if it is known, works on."""
    if owner is None:
        return StorageUnavailable(
            f"The database {path} is owned by another process, which is just opening it. Try again in a moment."
        )
    since = datetime.fromtimestamp(owner.since).astimezone().isoformat(" ", "seconds")
    return StorageUnavailable(
        f"The database {path} is owned by process {owner.pid} on {ascii(owner.host)[1:-1]} since {since} "
        f"({ascii(owner.command)[1:-1]}). Wait for that process or end it, or use another file. What may be done beside "
        "it: `podium emit NAME JSON` starts the runs of its triggers, `podium runs --help` names the rest."
    )


def _command() -> str:
    # Up to the first option: options and what follows may hold input data, which is nobody else's business.
    words = [Path(sys.argv[0]).name] if sys.argv and sys.argv[0] else ["python"]
    for word in sys.argv[1:]:
        if word.startswith("-"):
            break
        words.append(word)
    return " ".join(words)[:200]


def _unwritable(path: Path, why: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"The database {path} cannot be written: {why}. Choose a path in a folder that this user may write."
    )
