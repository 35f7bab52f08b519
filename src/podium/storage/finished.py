"""Finished runs: which may be archived, which may be deleted with all that belongs to them, and their deletion.

A run is held back, whatever its age, while it or its parent is unfinished or blocked, while one of its children is,
and while its inbox holds the wish to try it again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, and_, bindparam, delete, exists, func, literal_column, or_, select, tuple_

from podium.domain.ids import RunId
from podium.domain.inbox import DeliveryKind
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.storage.tables import HAS_ENDED, decisions, inbox, inline, journal, metadata, reviews, runs

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

_PARENTS: Final = runs.alias("parents")
_CHILDREN: Final = runs.alias("children")

HAS_FINISHED: Final[ColumnElement[bool]] = and_(runs.c.state.in_(inline(TERMINAL_RUN_STATES)), HAS_ENDED)
"""The condition that a run has its final result."""

PARENT_HAS_FINISHED: Final[ColumnElement[bool]] = or_(
    runs.c.parent_run.is_(None),
    ~exists().where(_PARENTS.c.id == runs.c.parent_run, _PARENTS.c.state.not_in(inline(TERMINAL_RUN_STATES))),
)
"""The condition that nobody waits for a run: it has no parent, or one that has ended or is gone."""

_IS_WANTED: Final = exists().where(
    inbox.c.run_id == runs.c.id, inbox.c.kind == inline([DeliveryKind.RETRY])[0]
)


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run: its number, its place in the order of ends, and what decides how long it is kept.

    `finished_at` is in seconds since the epoch.
    """

    number: int
    id: RunId
    workflow: str
    state: RunState
    finished_at: float
    generation: int


_FINISHED: Final = (
    runs.c.number,
    runs.c.id,
    runs.c.workflow,
    runs.c.state,
    runs.c.finished_at,
    runs.c.generation,
)


def _line_query() -> Select[Any]:
    line = (
        select(runs.c.number, runs.c.id, literal_column("0").label("depth"))
        .where(runs.c.number == bindparam("root"))
        .cte("line", recursive=True)
    )
    line = line.union_all(
        select(_CHILDREN.c.number, _CHILDREN.c.id, line.c.depth + 1).where(
            _CHILDREN.c.parent_run == line.c.id
        )
    )
    may_go = and_(HAS_FINISHED, runs.c.finished_at <= bindparam("before"), ~_IS_WANTED)
    return select(line.c.number, line.c.depth, may_go).join(runs, runs.c.number == line.c.number)


def _hot_query() -> Select[Any]:
    first = select(func.min(journal.c.run_number)).where(journal.c.run_number > bindparam("after"))
    hot = select(first.scalar_subquery().label("number"), literal_column("1").label("place")).cte(
        "hot", recursive=True
    )
    following = select(func.min(journal.c.run_number)).where(journal.c.run_number > hot.c.number)
    hot = hot.union_all(
        select(following.scalar_subquery(), hot.c.place + 1).where(
            hot.c.number.is_not(None), hot.c.place < bindparam("most")
        )
    )
    may_go = and_(HAS_FINISHED, runs.c.finished_at <= bindparam("before"), PARENT_HAS_FINISHED)
    return select(may_go, *_FINISHED).join(hot, runs.c.number == hot.c.number).order_by(hot.c.place)


# Built once: building the statement costs more than running it.
_LINE: Final = _line_query()
_HOT: Final = _hot_query()


def workflows(conn: Connection, *, all_runs: bool = False) -> Sequence[str]:
    """Return the names of the workflows that have finished runs, or runs at all, in their order."""
    first = select(func.min(runs.c.workflow))
    if not all_runs:
        first = first.where(HAS_ENDED)
    found: list[str] = []
    name = conn.scalar(first)
    while name is not None:
        found.append(name)
        name = conn.scalar(first.where(runs.c.workflow > name))
    return found


def with_journal(
    conn: Connection, *, before: float, after: int, limit: int
) -> tuple[Sequence[Finished], int | None]:
    """Return the finished runs that ended at or before `before` among the next `limit` runs in the journal.

    These are counted by number, those greater than `after`; the last of them is returned too, None at the end. The
    journal is asked which runs it holds, from one entry of its index to the next: runs whose entries have been
    archived, however many, cost nothing.
    """
    rows = conn.execute(_HOT, {"after": after, "most": limit, "before": before}).all()
    found = [_finished(row[1:]) for row in rows if row[0]]
    return found, rows[-1].number if len(rows) == limit else None


def roots(
    conn: Connection,
    *,
    workflow: str,
    state: RunState,
    before: float,
    limit: int,
    after: Finished | None = None,
) -> Sequence[Finished]:
    """Return up to `limit` runs of the workflow that ended in `state` at or before `before`, the oldest first.

    Without those whose parent is still there; the page after run `after`.
    """
    query = select(*_FINISHED).where(
        runs.c.workflow == workflow,
        runs.c.state == state.value,
        HAS_ENDED,
        runs.c.finished_at <= before,
        or_(runs.c.parent_run.is_(None), ~exists().where(_PARENTS.c.id == runs.c.parent_run)),
    )
    if after is not None:
        query = query.where(tuple_(runs.c.finished_at, runs.c.number) > (after.finished_at, after.number))
    query = query.order_by(runs.c.finished_at, runs.c.number).limit(limit)
    return [_finished(row) for row in conn.execute(query)]


def line_of(conn: Connection, root: int, *, before: float) -> Sequence[Sequence[int]]:
    """Return the numbers of a run and all that it began, those that began nothing first, level by level.

    Nothing when one of them is not to be deleted: unfinished, ended after `before`, or wanted again.
    """
    levels: dict[int, list[int]] = {}
    for number, depth, goes in conn.execute(_LINE, {"root": root, "before": before}):
        if not goes:
            return []
        levels.setdefault(depth, []).append(number)
    return [levels[depth] for depth in sorted(levels, reverse=True)]


def delete_runs(conn: Connection, numbers: Collection[int], *, before: float) -> int:
    """Delete finished runs with all that belongs to them, and return how many.

    Left alone are those that by now are unfinished, ended after `before`, have children, have an unfinished parent
    or are wanted again. Long values stay until they are swept away.
    """
    childless = ~exists().where(_CHILDREN.c.parent_run == runs.c.id, _CHILDREN.c.parent_run.is_not(None))
    conditions = (HAS_FINISHED, runs.c.finished_at <= before, childless, PARENT_HAS_FINISHED, ~_IS_WANTED)
    query = select(runs.c.number, runs.c.id).where(runs.c.number.in_(numbers), *conditions)
    gone = {row.number: row.id for row in conn.execute(query)}
    if gone:
        of_runs = select(reviews.c.id).where(reviews.c.run_id.in_(gone.values()))
        conn.execute(delete(decisions).where(decisions.c.review_id.in_(of_runs)))
        for table, column in belongings().items():
            named = gone.keys() if column == "run_number" else gone.values()
            conn.execute(delete(table).where(table.c[column].in_(named)))
        conn.execute(delete(runs).where(runs.c.number.in_(gone.keys())))
    return len(gone)


def belongings() -> Mapping[Table, str]:
    """Return the tables whose rows belong to one run each, with the column that names it."""
    named = {table: {"run_number", "run_id"} & set(table.c.keys()) for table in metadata.sorted_tables}
    # Where there are both, the number: it leads the table's key.
    return {table: max(columns) for table, columns in named.items() if columns}


def _finished(row: Sequence[Any]) -> Finished:
    number, id, workflow, state, finished_at, generation = row
    return Finished(number, RunId(id), workflow, RunState(state), finished_at, generation)
