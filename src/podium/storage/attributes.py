"""Attributes of runs: the repository, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Double, delete, func, insert, literal, select

from podium.domain.attributes import (
    MAX_ATTRIBUTES,
    AttributeValue,
    attribute_number,
    attribute_of,
    attribute_text,
    too_many,
)
from podium.domain.errors import UnknownRun
from podium.domain.ids import RunId
from podium.storage.tables import attributes, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.runs import Run

_CHUNK = 500


def set_attributes(
    conn: Connection, run: RunId, given: Mapping[str, AttributeValue | None], *, replace: bool = True
) -> None:
    """Set attributes of `run`, and remove those that are None; what was set before stands unless it may be replaced.

    Raises `UnknownRun`, and `InvalidInput` when the run would have too many.
    """
    place = conn.execute(
        select(runs.c.number, runs.c.tenant, runs.c.created_at).where(runs.c.id == storable(run))
    ).first()
    if place is None:
        raise UnknownRun(
            f"There is no run {run!a} to set attributes of. List the runs with `podium runs list`."
        )
    of_run = attributes.c.run_number == place.number
    if replace:
        conn.execute(delete(attributes).where(of_run, attributes.c.name.in_(list(given))))
        present: frozenset[str] = frozenset()
    else:
        present = frozenset(conn.scalars(select(attributes.c.name).where(of_run)))
    rows = [
        {
            "run_number": place.number,
            "name": name,
            "tenant": place.tenant,
            "text": storable(attribute_text(value)),
            "number": attribute_number(value),
            "created_at": place.created_at,
            "run_id": run,
        }
        for name, value in given.items()
        if value is not None and name not in present
    ]
    if rows:
        conn.execute(insert(attributes), rows)
    count = conn.scalar(select(func.count()).select_from(attributes).where(of_run)) or 0
    if count > MAX_ATTRIBUTES:
        raise too_many(count)


def copy_attributes(conn: Connection, origin: RunId, to: Run) -> None:
    """Give the stored run `to` the attributes that `origin` has."""
    number = conn.scalar(select(runs.c.number).where(runs.c.id == to.id))
    theirs = attributes.join(runs, attributes.c.run_number == runs.c.number)
    kept = (attributes.c.name, attributes.c.tenant, attributes.c.text, attributes.c.number)
    mine: list[ColumnElement[Any]] = [
        literal(number),
        *kept,
        literal(to.created_at, Double()),
        literal(to.id),
    ]
    columns = ["run_number", "name", "tenant", "text", "number", "created_at", "run_id"]
    found = select(*mine).select_from(theirs).where(runs.c.id == origin)
    conn.execute(insert(attributes).from_select(columns, found))


def attributes_of(
    conn: Connection, run_ids: Collection[RunId], *, tenant: str
) -> dict[RunId, dict[str, AttributeValue]]:
    """Return the attributes of these runs of the tenant, by name in alphabetical order; runs without are left out."""
    wanted, found = list(run_ids), dict[RunId, dict[str, AttributeValue]]()
    for start in range(0, len(wanted), _CHUNK):
        query = (
            select(runs.c.id, attributes.c.name, attributes.c.text, attributes.c.number)
            .select_from(runs.join(attributes, attributes.c.run_number == runs.c.number))
            .where(runs.c.id.in_(map(storable, wanted[start : start + _CHUNK])), runs.c.tenant == tenant)
            .order_by(runs.c.id, attributes.c.name)
        )
        for id, name, text, number in conn.execute(query):
            found.setdefault(RunId(id), {})[name] = attribute_of(text, number)
    return found
