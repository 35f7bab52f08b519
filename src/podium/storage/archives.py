"""Archives: the journal of a run, or of one generation of it, as one row, as plain functions over a connection.

What is archived is read as if it were not: `archived` returns the lines that come before those in the journal. A run
that goes on after all, such as a failed one that is tried again, writes on in the journal; archived again, its
archive holds both.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select

from podium.storage.folding import Line, fold, unfold
from podium.storage.tables import archive_values, archives, journal, runs

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LINE = (
    journal.c.seq,
    journal.c.type,
    journal.c.kind,
    journal.c.key,
    journal.c.name,
    journal.c.fingerprint,
    journal.c.attempt,
    journal.c.started_at,
    journal.c.at,
    journal.c.payload,
    journal.c.payload_digest,
)
_LINES = (
    select(journal.c.tenant, *_LINE)
    .where(journal.c.run_number == bindparam("number"))
    .order_by(journal.c.seq)
)
_CONTENT = select(archives.c.content).where(
    archives.c.run_number == bindparam("number"), archives.c.generation == bindparam("generation")
)
_REMOVE = delete(journal).where(journal.c.run_number == bindparam("number"))


@dataclass(frozen=True, slots=True)
class Folded:
    """One generation of a run, ready to be stored as an archive.

    `entries` counts all of its lines, `digests` names the long values they refer to. `count`, `last` and `latest`
    are the number, the greatest `seq` and the latest time (seconds since the epoch) of those that were in the
    journal, `size` their payloads' bytes.
    """

    number: int
    generation: int
    tenant: str
    content: bytes
    entries: int
    digests: frozenset[bytes]
    count: int
    last: int
    latest: float
    size: int


def fold_generation(conn: Connection, number: int, generation: int) -> Folded | None:
    """Return the journal of the run with this number folded, after what is archived of its `generation` already.

    None when the journal holds nothing of it. Changes nothing: `store` does, in the same transaction or another.
    """
    rows = conn.execute(_LINES, {"number": number}).all()
    if not rows:
        return None
    lines = [Line._make(row[1:]) for row in rows]
    whole = [*archived(conn, number, generation), *lines]
    return Folded(
        number=number,
        generation=generation,
        tenant=rows[0].tenant,
        content=fold(whole),
        entries=len(whole),
        digests=frozenset(line.payload_digest for line in whole if line.payload_digest is not None),
        count=len(lines),
        last=lines[-1].seq,
        latest=max(line.at for line in lines),
        size=sum(len(line.payload) for line in lines if line.payload is not None),
    )


def store(
    conn: Connection, folded: Sequence[Folded], at: float, among: Sequence[ColumnElement[bool]] = ()
) -> list[Folded]:
    """Put archives in the place of journals, and return those for which that was done.

    A run whose journal or generation is not what it was when it was folded is left alone, and so is one that does
    not fulfil the conditions `among` on its row. `at` is seconds since the epoch.
    """
    if not folded:
        return []
    now = {
        number: seen
        for number, *seen in conn.execute(
            select(
                runs.c.number,
                runs.c.generation,
                func.count(),
                func.max(journal.c.seq),
                func.max(journal.c.at),
            )
            .join(journal, journal.c.run_number == runs.c.number)
            .where(runs.c.number.in_([each.number for each in folded]), *among)
            .group_by(runs.c.number)
        )
    }
    same = [
        each
        for each in folded
        if now.get(each.number) == [each.generation, each.count, each.last, each.latest]
    ]
    _replace(conn, same, at)
    return same


def archive_generation(conn: Connection, number: int, generation: int) -> Folded | None:
    """Fold the journal of the run with this number into the archive of `generation`, which is or was its own.

    Everything in the journal counts as of that generation: to begin a new one, call this in the transaction that
    does, before anything of the new one is written. Returns what was archived, None when the journal was empty.
    """
    folded = fold_generation(conn, number, generation)
    if folded is not None:
        _replace(conn, [folded], time.time())
    return folded


def restore_generation(conn: Connection, number: int, generation: int) -> int:
    """Put the archive of a run's present `generation` back into its journal; returns the number of its lines.

    For whoever must change lines: reading, and writing on, need no such thing.
    """
    lines = archived(conn, number, generation)
    tenant = conn.scalar(select(runs.c.tenant).where(runs.c.number == number))
    if lines:
        conn.execute(
            insert(journal),
            [{"run_number": number, "tenant": tenant, **line._asdict()} for line in lines],
        )
        _forget(conn, [{"number": number, "generation": generation}])
    return len(lines)


def archived(conn: Connection, number: int, generation: int) -> list[Line]:
    """Return the lines that the archive of a run's `generation` holds; none without an archive."""
    content = conn.scalar(_CONTENT, {"number": number, "generation": generation})
    return [] if content is None else unfold(content, f"run number {number}")


def generations(conn: Connection, number: int) -> Sequence[int]:
    """Return which generations of a run have an archive, the oldest first."""
    query = select(archives.c.generation).where(archives.c.run_number == number)
    return list(conn.scalars(query.order_by(archives.c.generation)))


def _replace(conn: Connection, folded: Sequence[Folded], at: float) -> None:
    if not folded:
        return
    places = [{"number": each.number, "generation": each.generation} for each in folded]
    _forget(conn, places)
    rows = [
        {
            "run_number": each.number,
            "generation": each.generation,
            "tenant": each.tenant,
            "entries": each.entries,
            "content": each.content,
            "at": at,
        }
        for each in folded
    ]
    conn.execute(insert(archives), rows)
    values = [
        {"run_number": each.number, "generation": each.generation, "tenant": each.tenant, "digest": digest}
        for each in folded
        for digest in sorted(each.digests)
    ]
    if values:
        conn.execute(insert(archive_values), values)
    conn.execute(_REMOVE, places)


def _forget(conn: Connection, places: Sequence[dict[str, Any]]) -> None:
    for table in (archives, archive_values):
        here = (table.c.run_number == bindparam("number"), table.c.generation == bindparam("generation"))
        conn.execute(delete(table).where(*here), places)
