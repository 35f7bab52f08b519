"""What runs publish while they work: the repository, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, insert, select

from podium.domain.chunks import Chunk
from podium.storage.tables import chunks, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from podium.domain.ids import RunId


def publish(
    conn: Connection, number: int, tenant: str, key: str, attempt: int, payload: bytes, at: float
) -> None:
    """Add a chunk of the run with row `number`, at the next offset of its attempt."""
    _add(conn, number, tenant, key, attempt, payload, at, superseded=False)


def supersede(conn: Connection, number: int, tenant: str, key: str, at: float) -> None:
    """Mark that the chunks at `key` no longer count; does nothing when there are none that do."""
    last = conn.execute(
        select(chunks.c.attempt, chunks.c.superseded)
        .where(chunks.c.run_number == number, chunks.c.key == key)
        .order_by(chunks.c.attempt.desc(), chunks.c.offset.desc())
        .limit(1)
    ).first()
    if last is not None and not last.superseded:
        _add(conn, number, tenant, key, last.attempt, b"null", at, superseded=True)


def list_chunks(conn: Connection, run: RunId, *, after: int, limit: int) -> Sequence[Chunk]:
    """Return up to `limit` chunks of `run` with a position greater than `after`, in order."""
    query = (
        select(
            chunks.c.id,
            chunks.c.key,
            chunks.c.attempt,
            chunks.c.offset,
            chunks.c.superseded,
            chunks.c.payload,
            chunks.c.at,
        )
        .select_from(chunks.join(runs, runs.c.number == chunks.c.run_number))
        .where(runs.c.id == storable(run), chunks.c.id > after)
        .order_by(chunks.c.id)
        .limit(limit)
    )
    return [Chunk(run, *row) for row in conn.execute(query)]


def _add(
    conn: Connection,
    number: int,
    tenant: str,
    key: str,
    attempt: int,
    payload: bytes,
    at: float,
    *,
    superseded: bool,
) -> None:
    here = (chunks.c.run_number == number) & (chunks.c.key == key) & (chunks.c.attempt == attempt)
    offset = select(func.coalesce(func.max(chunks.c.offset) + 1, 0)).where(here).scalar_subquery()
    conn.execute(
        insert(chunks).values(
            run_number=number,
            tenant=tenant,
            key=storable(key),
            attempt=attempt,
            offset=offset,
            superseded=superseded,
            payload=payload,
            at=at,
        )
    )
