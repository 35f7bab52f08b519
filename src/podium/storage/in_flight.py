"""Runs that are under way, and what is open for them, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import literal, select, union_all

from podium.domain.ids import RunId
from podium.domain.inbox import DeliveryKind
from podium.domain.operations import OperationKind
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.storage.reviews import UNDECIDED
from podium.storage.tables import inbox, reviews, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Numbered(NamedTuple):
    """A run and its number, which grows with each run that is stored."""

    number: int
    id: RunId


class OpenEffect(NamedTuple):
    """A review or a child run that belongs to the operation at `key`, and whether its outcome has come.

    `since` is when it was opened or started, or when its outcome came, in seconds since the epoch.
    """

    kind: OperationKind
    key: str
    id: str
    has_come: bool
    since: float


def list_numbered(
    conn: Connection,
    *,
    tenant: str | None = None,
    workflows: Collection[str],
    states: Collection[RunState],
    after: int = 0,
    limit: int,
) -> Sequence[Numbered]:
    """Return up to `limit` runs of these workflows and states, oldest first, with a number greater than `after`.

    Those of one tenant, or of all.
    """
    query = (
        select(runs.c.number, runs.c.id)
        .where(runs.c.number > after, *(() if tenant is None else (runs.c.tenant == tenant,)))
        .where(runs.c.workflow.in_([storable(name) for name in workflows]), runs.c.state.in_(sorted(states)))
        .order_by(runs.c.number)
        .limit(limit)
    )
    return [Numbered(number, RunId(id)) for number, id in conn.execute(query)]


def open_effects(conn: Connection, wanted: Collection[RunId]) -> Mapping[RunId, Sequence[OpenEffect]]:
    """Return, by run, the reviews and child runs that these runs wait for, and those whose outcome has come."""
    ids = list(wanted)
    review, child = OperationKind.REVIEW.value, OperationKind.CHILD.value
    undecided = reviews.c.run_id.in_(ids) & reviews.c.state.in_(sorted(UNDECIDED))
    under_way = runs.c.parent_run.in_(ids) & runs.c.state.not_in(sorted(TERMINAL_RUN_STATES))
    decided = (inbox.c.kind == DeliveryKind.DECISION.value) & (
        (reviews.c.run_id == inbox.c.run_id) & (reviews.c.key == inbox.c.key)
    )
    ended = (inbox.c.kind == DeliveryKind.CHILD.value) & (runs.c.parent_run == inbox.c.run_id)
    query = union_all(
        select(
            reviews.c.run_id, literal(review), reviews.c.key, reviews.c.id, literal(0), reviews.c.opened_at
        ).where(undecided),
        select(
            runs.c.parent_run, literal(child), runs.c.parent_key, runs.c.id, literal(0), runs.c.created_at
        ).where(under_way),
        select(inbox.c.run_id, literal(review), inbox.c.key, reviews.c.id, literal(1), inbox.c.at).where(
            inbox.c.run_id.in_(ids), decided
        ),
        select(inbox.c.run_id, literal(child), inbox.c.key, runs.c.id, literal(1), inbox.c.at).where(
            inbox.c.run_id.in_(ids), ended, runs.c.parent_key == inbox.c.key
        ),
    )
    found: dict[RunId, list[OpenEffect]] = {}
    for run, kind, key, id, has_come, since in conn.execute(query):
        effect = OpenEffect(OperationKind(kind), key, id, bool(has_come), since)
        found.setdefault(RunId(run), []).append(effect)
    return found
