"""Long values that nothing refers to any more: how they are found, and removed while others go on writing.

They are marked on one unchanging view of the database. Between that and their removal somebody may store the same
value again and find it there: `kept_values` tells which values were stored since, and those stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, case, delete, func, literal_column, select, tuple_, union_all

from podium.storage.blobs import DIGEST_SIZE, MOST_CHILDREN, Form, Key, children_of
from podium.storage.tables import archive_values, blobs, cached_answers, journal, kept_values, runs

if TYPE_CHECKING:
    from sqlalchemy import CTE, Connection, Select, SelectBase

REMEMBERED: Final = 10_000
"""How many of the values stored last `kept_values` names: a sweep during which more are stored is given up."""

_NEWEST: Final = select(func.coalesce(func.max(kept_values.c.id), 0))
_REFERENCES: Final = (
    (journal.c.tenant, journal.c.payload_digest),
    (archive_values.c.tenant, archive_values.c.digest),
    (runs.c.tenant, runs.c.input_digest),
    (runs.c.tenant, runs.c.output_digest),
    (cached_answers.c.tenant, cached_answers.c.answer_digest),
)
_REMOVE: Final = delete(blobs).where(
    blobs.c.tenant == bindparam("of_tenant"), blobs.c.digest == bindparam("the_digest")
)


def _with_all_below(values: SelectBase) -> CTE:
    """Return the query for the pieces, as (tenant, digest), that these values are made of."""
    place = select(literal_column("0").label("at")).cte("place", recursive=True)
    place = place.union_all(select(place.c.at + 1).where(place.c.at < MOST_CHILDREN - 1))
    given = values.subquery()
    pieces = select(given.c[0].label("tenant"), given.c[1].label("digest")).cte("pieces", recursive=True)
    child = func.substr(blobs.c.content, place.c.at * DIGEST_SIZE + 1, DIGEST_SIZE)
    node = and_(
        blobs.c.tenant == pieces.c.tenant, blobs.c.digest == pieces.c.digest, blobs.c.form == int(Form.NODE)
    )
    # Without repetition: what is part of many values is looked into once.
    return pieces.union(
        select(blobs.c.tenant, child)
        .select_from(pieces.join(blobs, node).join(place, literal_column("1") == 1))
        .where(func.length(blobs.c.content) > place.c.at * DIGEST_SIZE)
    )


def _unused_query() -> Select[Any]:
    references = (select(*reference).where(reference[1].is_not(None)) for reference in _REFERENCES)
    used = _with_all_below(union_all(*references))
    content = case((blobs.c.form == int(Form.NODE), blobs.c.content))
    return select(blobs.c.tenant, blobs.c.digest, content).where(
        tuple_(blobs.c.tenant, blobs.c.digest).not_in(select(used.c.tenant, used.c.digest))
    )


def _stored_query() -> Select[Any]:
    values = select(kept_values.c.tenant, kept_values.c.digest).where(kept_values.c.id > bindparam("since"))
    pieces = _with_all_below(values)
    return select(pieces.c.tenant, pieces.c.digest)


_UNUSED: Final = _unused_query()
_STORED: Final = _stored_query()


@dataclass(frozen=True, slots=True)
class Marked:
    """The pieces without a use, nodes before what is below them, and the id in `kept_values` up to which that is so."""

    unused: Sequence[Key]
    since: int


def mark(conn: Connection) -> Marked:
    """Return the pieces that no value which is referred to needs, on the view of the database that `conn` has.

    Reads the whole journal, which holds little more than the runs that have not been archived yet.
    """
    below = {
        (tenant, digest): [] if node is None else children_of(tenant, node)
        for tenant, digest, node in conn.execute(_UNUSED)
    }
    return Marked(_from_the_top(below), conn.scalar(_NEWEST) or 0)


def _from_the_top(below: Mapping[Key, Sequence[Key]]) -> list[Key]:
    above = Counter(child for children in below.values() for child in set(children))
    order = [key for key in below if not above[key]]
    for key in order:
        for child in set(below[key]):
            above[child] -= 1
            if not above[child] and child in below:
                order.append(child)
    return order


def remove(conn: Connection, unused: Sequence[Key], since: int) -> int | None:
    """Remove those of the pieces marked as `unused` that are of no value stored again, and return how many.

    None when too many were stored `since` they were marked to tell: mark them again. To be called with the pieces in
    the order in which they were marked.
    """
    oldest = conn.scalar(select(func.min(kept_values.c.id)))
    if oldest is not None and oldest > since + 1:
        return None
    again = {(tenant, digest) for tenant, digest in conn.execute(_STORED, {"since": since})}
    gone = [{"of_tenant": key[0], "the_digest": key[1]} for key in unused if key not in again]
    if gone:
        conn.execute(_REMOVE, gone)
    return len(gone)


def forget(conn: Connection, limit: int) -> int:
    """Remove up to `limit` of the ids in `kept_values` that are older than the latest, and return how many."""
    newest = conn.scalar(_NEWEST) or 0
    old = select(kept_values.c.id).where(kept_values.c.id <= newest - REMEMBERED).limit(limit)
    return conn.execute(delete(kept_values).where(kept_values.c.id.in_(old))).rowcount
