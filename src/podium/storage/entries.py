"""Journal entries as read for timelines, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from podium.storage.rows import entry_of, entry_query
from podium.storage.tables import journal, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.ids import RunId
    from podium.domain.journal import Entry


def entries(conn: Connection, run: RunId, *, after: int = 0, limit: int | None = None) -> Sequence[Entry]:
    """Return the entries of `run` whose `seq` is greater than `after`, in `seq` order; at most `limit`."""
    query = (
        entry_query()
        .where(runs.c.id == storable(run), journal.c.seq > after)
        .order_by(journal.c.seq)
        .limit(limit)
    )
    return [entry_of(run, row) for row in conn.execute(query)]
