"""A database in one SQLite file: how it is opened, and the two ports that it fulfils."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from podium.domain.errors import InvalidInput, StorageUnavailable, UnknownRun
from podium.ports.journal import CreateRun
from podium.storage import inbox, runs
from podium.storage.owner import Owner, get_owner, take_over
from podium.storage.revision import HEAD, revision_of, upgrade
from podium.storage.sqlite import identity, lock
from podium.storage.sqlite.connections import connect, driver, single_connection
from podium.storage.sqlite.failures import cannot_open, cannot_read
from podium.storage.sqlite.reader import Reader
from podium.storage.sqlite.writer import Writer

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from sqlalchemy import Connection

    from podium.domain.ids import RunId
    from podium.domain.inbox import Delivery
    from podium.domain.runs import Run
    from podium.ports.journal import Change, LoadedRun
    from podium.settings.storage import StorageSettings

T = TypeVar("T")

# Larger than SQLite's own choice: entries of some kilobytes then fill pages better.
_PAGE_SIZE = 8192


@dataclass(frozen=True, slots=True)
class _Opened:
    """What opening leaves to work with; `held` and `epoch` are the owner's alone."""

    path: Path
    conn: Connection
    watch: sqlite3.Connection
    version: int
    held: BaseFileLock | None
    epoch: int | None


class SqliteStorage:
    """One SQLite file, as the ports `Journal` and `Storage`.

    Only its owner may use the journal's `commit` and `create`; everybody may read, and write short
    transactions. To be used from the event loop it was opened on.
    """

    def __init__(self, opened: _Opened, settings: StorageSettings) -> None:
        self._path = opened.path
        self._owns = opened.held is not None
        self._held = opened.held
        self._watch: sqlite3.Connection | None = opened.watch
        self._version = opened.version
        self._reader = Reader(opened.path, settings)
        self._writer = Writer(opened.conn, opened.path, settings, opened.epoch)

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    # Storage --------------------------------------------------------------------------------------------------------

    async def read(self, query: Callable[[Connection], T]) -> T:
        """See `Storage.read`."""
        return await self._reader.read(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """See `Storage.write`."""
        return await self._writer.write(change)

    async def close(self) -> None:
        """See `Storage.close`."""
        await self._writer.close()
        await self._reader.close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._held is not None:
            self._held.release()
            self._held = None

    # Journal --------------------------------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change], done: Callable[[], None] | None = None) -> None:
        """See `Journal.commit`."""
        self._check_owner()
        self._writer.commit(changes, done)

    def on_failure(self, stop: Callable[[Exception], None]) -> None:
        """See `Journal.on_failure`."""
        self._writer.on_failure(stop)

    async def create(self, run: Run) -> Run:
        """See `Journal.create`. Raises `InvalidInput` when another tenant has a run of that id."""
        self._check_owner()
        if await self._writer.create(CreateRun(run)):
            return run
        stored = await self.read(lambda conn: runs.get_run(conn, run.id))
        if stored is None:
            raise UnknownRun(
                f"Run {run.id!a} was removed while it was being started again. Start it once more."
            )
        if stored.tenant != run.tenant:
            raise InvalidInput(f"The run id {run.id!a} is not available. Choose another run_id.")
        return stored

    async def load(self, run: RunId) -> LoadedRun | None:
        """See `Journal.load`."""
        return await self._reader.load(run)

    async def unfinished(self, limit: int, after: Run | None = None) -> Sequence[Run]:
        """See `Journal.unfinished`."""
        return await self.read(lambda conn: runs.unfinished(conn, limit, after))

    async def due(self, now: float, limit: int) -> Sequence[RunId]:
        """See `Journal.due`."""
        return await self.read(lambda conn: runs.due(conn, now, limit))

    async def next_wake(self) -> float | None:
        """See `Journal.next_wake`."""
        return await self.read(runs.next_wake)

    async def deliveries(self, after: int, limit: int) -> Sequence[Delivery]:
        """See `Journal.deliveries`."""
        return await self.read(lambda conn: inbox.list_deliveries(conn, after=after, limit=limit))

    def changed_elsewhere(self) -> bool:
        """Return whether anything was written since the last call, by another process or by this one.

        SQLite does not tell the two apart on a connection that only watches; a needless yes costs a look.
        Raises `StorageUnavailable` when the database cannot be read.
        """
        before, self._version = self._version, self.version()
        return before != self._version

    def version(self) -> int:
        """Return a number that is another one after anything was written; for those who keep the last one themselves."""
        if self._watch is None:
            return 0
        try:
            return _data_version(self._watch)
        except sqlite3.Error as error:
            failure = cannot_read(self._path, error)
            if failure is None:
                raise
            raise failure from error

    def _check_owner(self) -> None:
        if not self._owns:
            raise StorageUnavailable(
                f"The database {self._path} was opened without owning it, so its journal cannot be written. "
                "Open it as its owner to run workflows."
            )


async def open_sqlite(path: str | Path, *, settings: StorageSettings, own: bool) -> SqliteStorage:
    """Open the database at `path`, made and brought up to date as needed.

    `own=True` makes this process its owner, the one that runs workflows, and creates a missing file; with
    `own=False` the file must exist. Raises `StorageUnavailable`, in one line, when the file is missing, not
    ours, of a newer version, unwritable, or owned by another process.
    """
    opened = await asyncio.to_thread(_open, Path(path), settings, own=own)
    return SqliteStorage(opened, settings)


def _open(path: Path, settings: StorageSettings, *, own: bool) -> _Opened:
    # One file has one lock, whatever name it is called by.
    path = path.resolve()
    identity.check_path(path, create=own)
    held = _lock(path, settings) if own else None
    try:
        return _connect(path, settings, held)
    except BaseException as error:
        if held is not None:
            held.release()
        if isinstance(error, sqlite3.Error | SQLAlchemyError):
            raise cannot_open(path, error) from error
        raise


def _lock(path: Path, settings: StorageSettings) -> BaseFileLock:
    held = lock.take_lock(path)
    if held is None:
        raise lock.owned_by(path, _last_owner(path, settings))
    return held


def _connect(path: Path, settings: StorageSettings, held: BaseFileLock | None) -> _Opened:
    own = held is not None
    conn = single_connection(partial(connect, path, settings, create=own))
    with contextlib.ExitStack() as undo:
        undo.callback(conn.close)
        epoch = _prepare(path, conn, own=own)
        watch = connect(path, settings)
        undo.callback(watch.close)
        version = _data_version(watch)
        undo.pop_all()
    return _Opened(path, conn, watch, version, held, epoch)


def _prepare(path: Path, conn: Connection, *, own: bool) -> int | None:
    """Make sure that the file is ours and up to date; return the epoch of a new owner."""
    raw = driver(conn)
    if identity.is_empty(path, raw):
        raw.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
    (mode,) = raw.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise identity.no_shared_memory(path)
    if not own and revision_of(conn) == HEAD:
        conn.rollback()
        return None
    raw.execute("BEGIN IMMEDIATE")
    raw.execute(f"PRAGMA application_id = {identity.APPLICATION_ID}")
    _bring_up_to_date(path, conn, own=own)
    epoch = take_over(conn, lock.this_process()) if own else None
    raw.execute("COMMIT")
    conn.commit()
    return epoch


def _bring_up_to_date(path: Path, conn: Connection, *, own: bool) -> None:
    revision = revision_of(conn)
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise identity.newer_revision(path, revision)
    if own:
        upgrade(conn)
        return
    held = lock.take_lock(path)
    if held is None:
        raise identity.older_revision(path, revision)
    with held:
        upgrade(conn)


def _data_version(watch: sqlite3.Connection) -> int:
    version: int = watch.execute("PRAGMA data_version").fetchone()[0]
    return version


def _last_owner(path: Path, settings: StorageSettings) -> Owner | None:
    try:
        conn = single_connection(partial(connect, path, settings))
        try:
            return get_owner(conn)
        finally:
            conn.close()
    except (sqlite3.Error, SQLAlchemyError):
        return None
