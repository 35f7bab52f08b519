"""Journal entries as they are read: the mapping of their rows, and the repository over a connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from sqlalchemy import Select, and_, bindparam, select

from podium.domain.journal import Entry, EntryType
from podium.domain.operations import OperationKind
from podium.storage.blobs import Contents, contents
from podium.storage.folding import unfold
from podium.storage.tables import archives, journal, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.ids import RunId
    from podium.storage.rows import Row


ARCHIVED: Final = (
    select(archives.c.tenant, archives.c.content)
    .join(runs, and_(runs.c.number == archives.c.run_number, runs.c.generation == archives.c.generation))
    .where(runs.c.id == bindparam("run"))
)
"""Selects the archive of a run's present generation, for `archived_rows`."""

_OF_GENERATION = (
    select(archives.c.tenant, archives.c.content)
    .join(runs, runs.c.number == archives.c.run_number)
    .where(runs.c.id == bindparam("run"), archives.c.generation == bindparam("generation"))
)
_PRESENT = select(runs.c.generation).where(runs.c.id == bindparam("run"))


def entries(
    conn: Connection, run: RunId, *, after: int = 0, limit: int | None = None, generation: int | None = None
) -> Sequence[Entry]:
    """Return the entries of `run` whose `seq` is greater than `after`, in `seq` order; at most `limit`.

    They are those of its present generation, or of an earlier `generation`. See `entries_of` for what a lost payload
    does.
    """
    parameters = {"run": storable(run)}
    rows: list[Row] = []
    if generation is None or generation == conn.scalar(_PRESENT, parameters):
        kept = conn.execute(ARCHIVED, parameters).first()
        query = entry_query().where(runs.c.id == storable(run), journal.c.seq > after)
        rows.extend(conn.execute(query.order_by(journal.c.seq).limit(limit)))
    else:
        kept = conn.execute(_OF_GENERATION, {**parameters, "generation": generation}).first()
    if kept is not None:
        rows = [*archived_rows(run, kept.tenant, kept.content, after), *rows][:limit]
    return entries_of(conn, run, rows)


def archived_rows(run: RunId, tenant: str, content: bytes, after: int = 0) -> list[Row]:
    """Return the rows, as of `entry_query`, of the entries in an archive of `run` with a `seq` greater than `after`."""
    return [
        (tenant, line.payload_digest, *line[:7], line.payload, line.started_at, line.at)
        for line in unfold(content, f"run {run!a}")
        if line.seq > after
    ]


def entry_query() -> Select[Any]:
    """Select journal entries, for `entries_of`: first whose they are and what to read a long payload by."""
    columns = (
        journal.c.tenant,
        journal.c.payload_digest,
        journal.c.seq,
        journal.c.type,
        journal.c.kind,
        journal.c.key,
        journal.c.name,
        journal.c.fingerprint,
        journal.c.attempt,
        journal.c.payload,
        journal.c.started_at,
        journal.c.at,
    )
    return select(*columns).select_from(runs.join(journal, journal.c.run_number == runs.c.number))


def entries_of(conn: Connection, run: RunId, rows: Iterable[Row]) -> Sequence[Entry]:
    """Return the entries of `run` in rows of `entry_query`.

    An entry whose long payload is lost raises `StorageUnavailable` when it is asked for.
    """
    found = list(rows)
    long = contents(conn, ((row[0], row[1]) for row in found if row[1] is not None))
    return _Entries(run, found, long)


class _Entries(Sequence[Entry]):
    """Entries that are made when they are asked for.

    Their pieces are in memory once each; all whole at a time, the prompts of one long conversation would be a
    hundred times that.
    """

    def __init__(self, run: RunId, rows: Sequence[Row], long: Contents) -> None:
        self._run = run
        self._rows = rows
        self._long = long

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, self._rows)

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(at, slice):
            return _Entries(self._run, self._rows[at], self._long)
        return self._entry(self._rows[at])

    def _entry(self, row: Row) -> Entry:
        tenant, digest, seq, type, kind, key, name, fingerprint, attempt, payload, started_at, at = row
        if digest is not None:
            payload = self._long.value(tenant, digest, f"entry {seq} ({key!a}) of run {self._run!a}")
        return Entry(
            run=self._run,
            seq=seq,
            type=EntryType(type),
            kind=None if kind is None else OperationKind(kind),
            key=key,
            name=name,
            fingerprint=fingerprint,
            attempt=attempt,
            payload=payload,
            started_at=started_at,
            at=at,
        )
