"""Rows that nothing asks for any more: windows of budgets that have ended, and keys of events emitted long ago.

They are found page by page on a view of the database, in the order of their keys, and removed afterwards if that is
still so: a run that is begun again under its id has its budget anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, exists, or_, select, tuple_

from podium.domain.budgets import Scope
from podium.storage.tables import budget_holds, budget_windows, emitted_keys, runs

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

Key = tuple[Any, ...]
"""The primary key of a row."""

_ENDED: Final = or_(
    budget_windows.c.ends_at < bindparam("before"),
    and_(
        budget_windows.c.scope == Scope.RUN.value,
        budget_windows.c.at < bindparam("before"),
        ~exists(
            select(runs.c.id).where(
                runs.c.id == budget_windows.c.subject, runs.c.tenant == budget_windows.c.tenant
            )
        ),
    ),
)
_OLD: Final = emitted_keys.c.at < bindparam("before")


def ended_windows(conn: Connection, before: float, after: Key | None, limit: int) -> Sequence[Key]:
    """Return up to `limit` windows of budgets, past `after`, that ended before a time or whose run is gone since then.

    Times are seconds since the epoch.
    """
    return _page(conn, budget_windows, _ENDED, before, after, limit)


def forget_windows(conn: Connection, keys: Sequence[Key], before: float) -> int:
    """Remove those of the windows of `keys` that have ended before a time, with what is held of them; return how many."""
    return sum(_forget_window(conn, window, before) for window in keys)


def old_keys(conn: Connection, before: float, after: Key | None, limit: int) -> Sequence[Key]:
    """Return up to `limit` keys, past `after`, of events that were emitted before a time."""
    return _page(conn, emitted_keys, _OLD, before, after, limit)


def forget_keys(conn: Connection, keys: Sequence[Key], before: float) -> int:
    """Remove those of the keys whose events were emitted before a time; return how many."""
    return sum(_remove(conn, emitted_keys, _OLD, key, before) for key in keys)


def _page(
    conn: Connection,
    table: Table,
    condition: ColumnElement[bool],
    before: float,
    after: Key | None,
    limit: int,
) -> Sequence[Key]:
    key = list(table.primary_key.columns)
    query = select(*key).where(condition).order_by(*key).limit(limit)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    return [tuple(row) for row in conn.execute(query, {"before": before})]


def _forget_window(conn: Connection, window: Key, before: float) -> int:
    removed = _remove(conn, budget_windows, _ENDED, window, before)
    if removed:
        held = (budget_holds.c[column.name] for column in budget_windows.primary_key.columns)
        conn.execute(
            delete(budget_holds).where(*(column == part for column, part in zip(held, window, strict=True)))
        )
    return removed


def _remove(conn: Connection, table: Table, condition: ColumnElement[bool], key: Key, before: float) -> int:
    place = (column == part for column, part in zip(table.primary_key.columns, key, strict=True))
    return conn.execute(delete(table).where(condition, *place), {"before": before}).rowcount
