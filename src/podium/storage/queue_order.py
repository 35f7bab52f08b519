"""The order in which queued runs begin: by priority, by turns of the tenants, by age; each question is one index seek."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, or_, select

from podium.domain.ids import RunId
from podium.domain.states import RunState
from podium.storage.tables import QUEUE_BEGAN, inline, runs

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.ports.queues import Ask, Mine

_REMEMBERED = 100
"""Among how many of the latest starts the last turn of a priority is looked for."""

_FIRST, _LAST = "", "\U0010ffff"
"""Before and after every tenant's name."""


class Candidate(NamedTuple):
    """A pending run: its row's number, its id and whose turn it takes."""

    number: int
    run: RunId
    tenant: str
    priority: int


def queued(table: FromClause) -> ColumnElement[bool]:
    """Return the condition of a queue's pending runs in `table`, which is `runs` or an alias of it, for `of`."""
    pending = table.c.state == inline([RunState.PENDING])[0]
    return and_(pending, table.c.queue.is_not(None), table.c.queue == bindparam("queue"), are_mine(table))


def are_mine(table: FromClause) -> ColumnElement[bool]:
    """Return the condition of the runs in `table` that a process works on, for `of`."""
    known = or_(
        bindparam("everyones"), table.c.workflow.in_(bindparam("workflows", expanding=True, value=()))
    )
    below = and_(table.c.id > bindparam("below"), table.c.id < bindparam("beyond"))
    return and_(known, or_(bindparam("only").is_(None), table.c.id == bindparam("only"), below))


def of(queue: str, mine: Mine | None) -> dict[str, Any]:
    """Return the parameters of `queued` for the runs of `queue` that are `mine`; None means all of them."""
    only = None if mine is None else mine.only
    return {
        "queue": queue,
        "everyones": mine is None,
        "workflows": [] if mine is None else sorted(mine.workflows),
        "only": only,
        # The ids of its children, and theirs, begin with its own and a slash, after which the 0 comes next.
        "below": f"{only}/",
        "beyond": f"{only}0",
    }


def next_runs(conn: Connection, ask: Ask, most: int) -> Sequence[Candidate]:
    """Return up to `most` runs that may begin now, in the order in which they should."""
    picked: list[Candidate] = []
    place = {**of(ask.queue.name, ask.mine), "now": ask.now}
    for priority, start_at in _priorities(conn, place):
        wanted = most - len(picked)
        if wanted <= 0:
            break
        if start_at is None or start_at <= ask.now:
            here = {**place, "priority": priority}
            picked += _by_turns(conn, ask, here, wanted) if ask.queue.fair else _by_age(conn, here, wanted)
    return picked


def next_start(conn: Connection, queue: str, mine: Mine | None) -> float | None:
    """Return the earliest time, in seconds since the epoch, at which a pending run may begin, or None without any."""
    starts = [0.0 if start_at is None else start_at for _, start_at in _priorities(conn, of(queue, mine))]
    return min(starts, default=None)


def _priorities(conn: Connection, place: dict[str, Any]) -> Iterator[tuple[int, float | None]]:
    """Yield each priority of the pending runs, highest first, with the earliest start time in it."""
    found = conn.execute(_HIGHEST, place).first()
    while found is not None:
        yield found.priority, found.start_at
        found = conn.execute(_NEXT_LOWER, {**place, "priority": found.priority}).first()


def _by_age(conn: Connection, here: dict[str, Any], most: int) -> list[Candidate]:
    return [Candidate(*row) for row in conn.execute(_OLDEST, {**here, "most": most})]


def _by_turns(conn: Connection, ask: Ask, here: dict[str, Any], most: int) -> list[Candidate]:
    last = ask.turns.get(here["priority"]) or _last_turn(conn, ask.queue.name, here["priority"])
    heads = _heads(conn, here, most, last, _LAST)
    if last != _FIRST and len(heads) < most:
        heads += _heads(conn, here, most - len(heads), _FIRST, last)
    if len(heads) == most:
        return heads
    # These are all the tenants there are, and there is room for more than one run of each.
    lines = [
        conn.execute(_OLDEST_OF_TENANT, {**here, "tenant": head.tenant, "most": most}).all() for head in heads
    ]
    rounds = [Candidate(*row) for turn in zip_longest(*lines) for row in turn if row is not None]
    return rounds[:most]


def _last_turn(conn: Connection, queue: str, priority: int) -> str:
    lately = conn.execute(_LATELY, {"queue": queue})
    return next((row.tenant for row in lately if row.priority == priority), _FIRST)


def _heads(conn: Connection, here: dict[str, Any], most: int, after: str, until: str) -> list[Candidate]:
    """Return the oldest ready run of each tenant, by the tenants' names, from `after` and up to `until`."""
    rows = conn.execute(_HEADS, {**here, "after": after, "until": until, "most": most})
    return [Candidate(*row) for row in rows]


def _heads_query() -> Select[Any]:
    """Go from tenant to tenant, over whatever number of runs each of them has."""
    following, current = runs.alias("following"), runs.alias("current")

    def oldest(table: FromClause, after: ColumnElement[Any]) -> Select[Any]:
        here = and_(queued(table), table.c.priority == bindparam("priority"))
        between = and_(table.c.tenant > after, table.c.tenant <= bindparam("until"))
        order = table.c.tenant, table.c.start_at, table.c.number
        return select(table.c.number).where(here, between).order_by(*order).limit(1)

    first = oldest(runs.alias("first"), bindparam("after")).scalar_subquery()
    head = select(first.label("number")).cte("head", recursive=True)
    step = oldest(following, current.c.tenant).correlate(current).scalar_subquery()
    here = head.join(current, current.c.number == head.c.number)
    head = head.union_all(select(step).select_from(here))
    query = select(*_COLUMNS).select_from(head.join(runs, runs.c.number == head.c.number))
    return query.where(_READY).limit(bindparam("most"))


# Built once: building the statements costs more than running them.
_COLUMNS: Final = (runs.c.number, runs.c.id, runs.c.tenant, runs.c.priority)
_READY: Final = or_(runs.c.start_at.is_(None), runs.c.start_at <= bindparam("now"))
_HIGHEST: Final = (
    select(runs.c.priority, runs.c.start_at)
    .where(queued(runs))
    .order_by(runs.c.priority.desc(), runs.c.start_at, runs.c.number)
    .limit(1)
)
_NEXT_LOWER: Final = _HIGHEST.where(runs.c.priority < bindparam("priority"))
_OLDEST: Final = (
    select(*_COLUMNS)
    .where(queued(runs), runs.c.priority == bindparam("priority"), _READY)
    .order_by(runs.c.start_at, runs.c.number)
    .limit(bindparam("most"))
)
_OLDEST_OF_TENANT: Final = _OLDEST.where(runs.c.tenant == bindparam("tenant"))
_HEADS: Final = _heads_query()
_LATELY: Final = (
    select(runs.c.tenant, runs.c.priority)
    .where(QUEUE_BEGAN, runs.c.queue == bindparam("queue"))
    .order_by(runs.c.started_at.desc(), runs.c.number.desc())
    .limit(_REMEMBERED)
)
