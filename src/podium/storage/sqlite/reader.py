"""Reads, away from the event loop: a few threads and as many connections that cannot write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import bindparam, literal_column

from podium.domain.errors import StorageUnavailable
from podium.domain.inbox import DeliveryKind
from podium.ports.journal import LoadedRun
from podium.storage.entries import ARCHIVED, archived_rows, entries_of, entry_query
from podium.storage.rows import delivery_of, delivery_query, run_query, runs_of
from podium.storage.sqlite.connections import READERS, driver, reading_engine
from podium.storage.sqlite.failures import cannot_read
from podium.storage.sqlite.statements import rendered
from podium.storage.tables import inbox, journal, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from podium.domain.ids import RunId
    from podium.settings.storage import StorageSettings

T = TypeVar("T")


class Reader:
    """Runs queries on worker threads, each on one unchanging view of the database."""

    def __init__(self, path: Path, settings: StorageSettings) -> None:
        self._path = path
        self._engine = reading_engine(path, settings)
        self._threads: ThreadPoolExecutor | None = ThreadPoolExecutor(READERS, "podium-reader")
        self._run = rendered(run_query().where(runs.c.id == bindparam("run"))).sql
        self._entries = rendered(
            entry_query().where(runs.c.id == bindparam("run")).order_by(journal.c.seq)
        ).sql
        events = delivery_query().where(
            inbox.c.run_id == bindparam("run"), inbox.c.kind == literal_column(f"'{DeliveryKind.EVENT}'")
        )
        self._events = rendered(events.order_by(inbox.c.id)).sql
        self._archived = rendered(ARCHIVED).sql

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Return what `query` returns; raises `StorageUnavailable` when the database cannot be read."""
        if self._threads is None:
            raise StorageUnavailable(f"The database {self._path} has been closed. Open it again to go on.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._query, query)

    async def load(self, run: RunId) -> LoadedRun | None:
        """Return a run and its whole journal, or None."""
        return await self.read(lambda conn: self._load(conn, run))

    async def close(self) -> None:
        """Finish the reads that have begun and close the connections. Safe to call twice."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
            self._engine.dispose()

    def _query(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as conn, conn.begin():
                return query(conn)
        except Exception as error:
            failure = cannot_read(self._path, error)
            if failure is None:
                raise
            raise failure from error

    def _load(self, conn: Connection, run: RunId) -> LoadedRun | None:
        # The driver's own rows: an engine that starts loads thousands of runs.
        execute = driver(conn).execute
        found = runs_of(conn, execute(self._run, (storable(run),)))
        if not found:
            return None
        rows = execute(self._entries, (run,)).fetchall()
        # Entries count from 1: those that are missing in front have been archived.
        if not rows or rows[0][2] > 1:
            for tenant, content in execute(self._archived, (run,)).fetchall():
                rows = [*archived_rows(run, tenant, content), *rows]
        events = [delivery_of(event) for event in execute(self._events, (run,))]
        return LoadedRun(found[0], entries_of(conn, run, rows), events, found[0].started_at is None)
