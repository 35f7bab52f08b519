"""The log of requests: the repository, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select

from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.domain.requests import Lane, ServedRequest
from podium.storage.tables import requests
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row


def add_requests(conn: Connection, served: Sequence[ServedRequest]) -> None:
    """Append to the log."""
    if served:
        conn.execute(insert(requests), [_row(each) for each in served])


def list_requests(
    conn: Connection, *, tenant: str, limit: int, key: str | None = None, failed: bool = False
) -> Sequence[ServedRequest]:
    """Return the newest requests, newest first; those of one `key`, those that `failed`, or all."""
    query = select(requests).where(requests.c.tenant == tenant)
    if key is not None:
        query = query.where(requests.c.key == key)
    if failed:
        query = query.where(requests.c.error.is_not(None))
    return [_of(row) for row in conn.execute(query.order_by(requests.c.number.desc()).limit(limit))]


def forget_requests(conn: Connection, *, before: float, limit: int) -> int:
    """Remove those of the first `limit` rows that came in before a time, and return how many.

    Rows are in the order in which they were answered, so the oldest are among the first.
    """
    first = conn.execute(select(requests.c.number, requests.c.at).order_by(requests.c.number).limit(limit))
    due = [row.number for row in first if row.at < before]
    if due:
        conn.execute(delete(requests).where(requests.c.number.in_(due)))
    return len(due)


def count_requests(conn: Connection, *, before: float) -> int:
    """Return how many rows came in before a time."""
    return conn.scalar(select(func.count()).select_from(requests).where(requests.c.at < before)) or 0


def _row(served: ServedRequest) -> dict[str, Any]:
    return {
        "tenant": served.tenant,
        "id": served.id,
        "at": served.at,
        "route": served.route,
        "key": served.key,
        "model": storable(served.model),
        "lane": served.lane.value,
        "status": served.status,
        "input_tokens": served.usage.input_tokens,
        "output_tokens": served.usage.output_tokens,
        "cost_nanos": None if served.cost is None else served.cost.nanos,
        "latency": served.latency,
        "first_token": served.first_token,
        "error": served.error,
    }


def _of(row: Row[Any]) -> ServedRequest:
    return ServedRequest(
        id=row.id,
        at=row.at,
        route=row.route,
        key=row.key,
        model=row.model,
        lane=Lane(row.lane),
        status=row.status,
        usage=Usage(row.input_tokens, row.output_tokens),
        cost=None if row.cost_nanos is None else Money(row.cost_nanos),
        latency=row.latency,
        first_token=row.first_token,
        error=row.error,
        tenant=row.tenant,
    )
