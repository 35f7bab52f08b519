"""The one thread that writes: whatever has been queued goes into one transaction and is acknowledged together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from podium.domain.errors import StorageUnavailable
from podium.storage.sqlite.changes import Changes
from podium.storage.sqlite.connections import driver
from podium.storage.sqlite.failures import cannot_write, concerns_the_database

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from podium.ports.journal import Change
    from podium.settings.storage import StorageSettings

T = TypeVar("T")

logger = logging.getLogger(__name__)

_EPOCH = "SELECT epoch FROM owner"


@dataclass(frozen=True, slots=True)
class _Commit:
    """Journal changes. `done` is told when they are on disk, `created` (if given) whether all runs were new."""

    changes: Sequence[Change]
    done: Callable[[], None] | None
    created: asyncio.Future[bool] | None = None


@dataclass(frozen=True, slots=True)
class _Write:
    """A function to run within the transaction, and where its result goes."""

    change: Callable[[Connection], Any]
    result: asyncio.Future[Any]


_Item = _Commit | _Write


class Writer:
    """Group commit on one connection, which it alone uses and closes.

    `epoch` is the owner's: a transaction in which the database shows another one is not made. All methods
    are for the event loop that was running when the writer was made.
    """

    def __init__(self, conn: Connection, path: Path, settings: StorageSettings, epoch: int | None) -> None:
        self._conn = conn
        self._raw = driver(conn)
        self._path = path
        self._epoch = epoch
        self._max_batch = settings.max_batch
        self._changes = Changes(conn, settings.blob_threshold)
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._put = self._queue.put
        self._stop: Callable[[Exception], None] | None = None
        self._failure: StorageUnavailable | None = None
        self._reported = False
        self._file = _file_identity(path)
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"podium-writer {path.name}", daemon=True)
        self._thread.start()

    def commit(self, changes: Sequence[Change], done: Callable[[], None] | None) -> None:
        """Queue journal changes; see `Journal.commit`."""
        if self._closing:
            raise self._closed()
        self._put(_Commit(changes, done))

    async def create(self, change: Change) -> bool:
        """Make one change that creates a run, and return whether that run was new."""
        created: asyncio.Future[bool] = self._loop.create_future()
        self._check()
        self._put(_Commit((change,), None, created))
        return await created

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` within the next transaction; see `Storage.write`."""
        result: asyncio.Future[T] = self._loop.create_future()
        self._check()
        self._put(_Write(change, result))
        return await result

    def on_failure(self, stop: Callable[[Exception], None]) -> None:
        """Set what is called, once, with the error after which nothing more is written."""
        self._stop = stop
        if self._failure is not None and self._reported:
            self._loop.call_soon(stop, self._failure)

    async def close(self) -> None:
        """Finish what is queued, then end the thread and close the connection. Safe to call twice."""
        if not self._closing:
            self._closing = True
            self._put(None)
        await asyncio.to_thread(self._thread.join)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise self._closed()

    def _closed(self) -> StorageUnavailable:
        return StorageUnavailable(f"The database {self._path} has been closed. Open it again to go on.")

    # On the writer thread -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        # A loop that was closed without closing the storage has nobody left to tell.
        with contextlib.suppress(_LoopGone):
            while (first := self._queue.get()) is not None:
                batch = [first]
                if self._failure is not None or not self._write_batch(batch):
                    self._reject(batch)
                # While this thread waits, it must not keep alive what was written.
                del batch, first
        with contextlib.suppress(sqlite3.Error):
            self._conn.close()

    def _write_batch(self, batch: list[_Item]) -> bool:
        """Write the batch and whatever else is queued by then; return whether it is on disk."""
        try:
            self._raw.execute("BEGIN IMMEDIATE")
            self._check_ownership()
            self._drain(batch)
            told = [told for item in batch if (told := self._make(item))]
            self._changes.flush()
            self._raw.execute("COMMIT")
            self._conn.commit()
        except BaseException as error:  # noqa: BLE001 - whatever it was, nothing of the batch counts as written
            self._fail(error)
            return False
        if told:
            self._call(_tell, told)
        return True

    def _drain(self, batch: list[_Item]) -> None:
        """Move what is queued into the batch."""
        get = self._queue.get_nowait
        with contextlib.suppress(queue.Empty):
            while len(batch) < self._max_batch:
                item = get()
                if item is None:
                    # The end of the queue: nothing follows, and `_work` has to see it.
                    self._put(None)
                    break
                batch.append(item)

    def _check_ownership(self) -> None:
        if self._epoch is None:
            return
        row = self._raw.execute(_EPOCH).fetchone()
        if row is None or row[0] != self._epoch:
            raise StorageUnavailable("another process has taken the database over from this one")
        # SQLite goes on writing into a file that has been deleted, and nobody would find what it wrote.
        if _file_identity(self._path) != self._file:
            raise StorageUnavailable("the file was removed or replaced while it was in use")

    def _make(self, item: _Item) -> Callable[[], None] | None:
        """Do what the item asks; return what tells so, once it is on disk."""
        if isinstance(item, _Commit):
            new = self._changes.make(item.changes)
            return item.done if item.created is None else partial(_settle, item.created, new)
        # Entries queued before a function are there for it to see.
        self._changes.flush()
        self._raw.execute("SAVEPOINT change")
        try:
            value = item.change(self._conn)
        except Exception as error:
            if concerns_the_database(error):
                raise
            self._raw.execute("ROLLBACK TO change")
            self._raw.execute("RELEASE change")
            return partial(_refuse, item.result, error)
        self._raw.execute("RELEASE change")
        return partial(_settle, item.result, value)

    def _fail(self, error: BaseException) -> None:
        # A failed write is never tried again: after a failed fsync, a second one may succeed and lie.
        self._failure = cannot_write(self._path, error)
        self._failure.__cause__ = error
        logger.error("%s", self._failure)
        with contextlib.suppress(sqlite3.Error):
            self._raw.execute("ROLLBACK")
        self._call(self._report, self._failure)

    def _reject(self, batch: Sequence[_Item]) -> None:
        futures = [item.created if isinstance(item, _Commit) else item.result for item in batch]
        if self._failure is not None:
            self._call(
                _tell, [partial(_refuse, future, self._failure) for future in futures if future is not None]
            )

    def _call(self, function: Callable[..., None], argument: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError as error:
            raise _LoopGone from error

    # Back on the event loop -----------------------------------------------------------------------------------------

    def _report(self, failure: StorageUnavailable) -> None:
        self._reported = True
        if self._stop is not None:
            self._stop(failure)


class _LoopGone(Exception):
    """The event loop was closed before the storage."""


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _tell(told: Sequence[Callable[[], None]]) -> None:
    for tell in told:
        try:
            tell()
        except Exception:
            logger.exception("A callback of a committed transaction failed; the others go on")


def _settle(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _refuse(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        # A future cannot carry StopIteration.
        future.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
