"""The inbox: deliveries that wait for their run, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Double, LargeBinary, Text, bindparam, delete, func, insert, select, update

from podium.domain.errors import UnknownRun
from podium.storage.present import insert_unless_present
from podium.storage.rows import delivery_of, delivery_query
from podium.storage.tables import event_keys, inbox, runs

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.ids import RunId
    from podium.domain.inbox import Delivery

DELIVER = insert(inbox).from_select(
    ["tenant", "run_id", "kind", "key", "payload", "failed", "at", "since", "name"],
    select(
        runs.c.tenant,
        runs.c.id,
        bindparam("kind", type_=Text()),
        bindparam("key", type_=Text()),
        bindparam("payload", type_=LargeBinary()),
        bindparam("failed", type_=Boolean()),
        bindparam("at", type_=Double()),
        bindparam("since", type_=Double()),
        bindparam("name", type_=Text()),
    ).where(runs.c.id == bindparam("run")),
)
"""Stores one delivery in its run's tenant, or nothing when there is no such run; for `delivery_row`."""

TAKE = delete(inbox).where(inbox.c.id == bindparam("delivery"))
"""Removes one delivery."""


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """Return the parameters of `DELIVER` for `delivery`."""
    return {
        "run": delivery.run,
        "kind": delivery.kind.value,
        "key": delivery.key,
        "payload": delivery.payload,
        "failed": delivery.failed,
        "since": delivery.since,
        "at": delivery.at,
        "name": delivery.name,
    }


def unknown_run(run: RunId) -> UnknownRun:
    """Return the error for a delivery to a run that is not there."""
    return UnknownRun(f"There is no run {run!a} to deliver to. List the runs with `podium runs list`.")


def deliver(conn: Connection, delivery: Delivery) -> None:
    """Put `delivery` into the inbox of its run; raises `UnknownRun`."""
    if conn.execute(DELIVER, delivery_row(delivery)).rowcount != 1:
        raise unknown_run(delivery.run)


def put_back(conn: Connection, events: Sequence[Delivery]) -> None:
    """Put events into the inbox of their run again, in this order and before all others; raises `UnknownRun`."""
    # Ids below zero: whoever remembers the last id that he saw does not see them, but a run that is loaded does.
    lowest = min(conn.scalar(select(func.min(inbox.c.id))) or 0, 0) - len(events)
    for id, event in enumerate(events, lowest):
        deliver(conn, event)
        last = select(func.max(inbox.c.id)).scalar_subquery()
        conn.execute(update(inbox).where(inbox.c.id == last).values(id=id))


def accept_event(conn: Connection, event: Delivery, dedupe: str | None, *, tenant: str | None = None) -> bool:
    """Put an event into the inbox of its run, unless one of its name and `dedupe` key was accepted before.

    Returns whether it is new. Raises `UnknownRun`, also for a run that is not `tenant`'s, where one is given.
    """
    place = conn.execute(select(runs.c.number, runs.c.tenant).where(runs.c.id == event.run)).first()
    if place is None or tenant not in (None, place.tenant):
        raise unknown_run(event.run)
    if dedupe is not None:
        row = {"run_number": place.number, "tenant": place.tenant, "name": event.name, "dedupe": dedupe}
        if not insert_unless_present(conn, event_keys, row):
            return False
    deliver(conn, event)
    return True


def list_deliveries(
    conn: Connection, *, after: int = 0, limit: int = 1000, run: RunId | None = None
) -> Sequence[Delivery]:
    """Return up to `limit` deliveries with an id greater than `after`, of `run` or of all, as they arrived."""
    query = delivery_query().where(inbox.c.id > after).order_by(inbox.c.id).limit(limit)
    if run is not None:
        query = query.where(inbox.c.run_id == run)
    return [delivery_of(row) for row in conn.execute(query)]


def take(conn: Connection, delivery: int) -> bool:
    """Remove the delivery with this id; return whether it was there."""
    return conn.execute(TAKE, {"delivery": delivery}).rowcount == 1
