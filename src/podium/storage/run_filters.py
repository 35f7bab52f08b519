"""Filters as queries: the ids of the runs that match, newest first, read in the order of an index.

A filter may be answered in several ways, each a walk along one index from the newest run on, or along several
stretches of it at once, which the database merges. What the index does not answer is looked at run by run on the
way. Of several ways, the one with the fewest runs on it is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    CompoundSelect,
    FromClause,
    Select,
    exists,
    func,
    literal,
    select,
    tuple_,
    union,
    union_all,
)

from podium.domain.filters import (
    AnyOf,
    AttributeIs,
    Compare,
    Filter,
    HasAttribute,
    StateIs,
    TextField,
    TextIs,
    TimeField,
    TimeIs,
    parts_of,
)
from podium.domain.ids import RunId
from podium.domain.states import RunState
from podium.storage.run_conditions import (
    TEXT_COLUMNS,
    Bound,
    begins,
    bounds,
    condition,
    opaque,
    texts_of,
    value_condition,
)
from podium.storage.tables import attributes, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from podium.domain.runs import Run

_MAX_ARMS = 64
"""Along how many stretches at once a way may go."""

_LOOK = 5_000
"""How far each of several ways is looked along before one is chosen."""

_ORIGINS = (TextField.PARENT, TextField.TRIGGER, TextField.QUEUE)
_LAST = "\U0010ffff"

Ids = Select[Any] | CompoundSelect[Any]


@dataclass(frozen=True, slots=True)
class _Arm:
    """One stretch of an index, of `runs` or of `attributes`.

    `place` are the conditions that make it, `times` cut it to the times of creation that are wanted; `rest` must
    hold besides.
    """

    table: FromClause
    place: tuple[ColumnElement[bool], ...]
    times: tuple[Bound, ...] = ()
    rest: tuple[Filter, ...] = ()

    @property
    def created_at(self) -> ColumnElement[Any]:
        return self.table.c.created_at

    @property
    def id(self) -> ColumnElement[Any]:
        return self.table.c.id if self.table is runs else self.table.c.run_id


@dataclass(frozen=True, slots=True)
class _Way:
    """Stretches that together hold every match.

    The same run may be on several when they `overlap`. A way that is not `ordered` is only good when it is short.
    """

    arms: tuple[_Arm, ...]
    overlap: bool = False
    ordered: bool = True


class RunQuery:
    """A filter on the runs of one tenant. Times in it are relative to `now`, in seconds since the epoch."""

    def __init__(self, filter: Filter, *, tenant: str, now: float) -> None:
        self._parts = parts_of(filter)
        self._tenant = tenant
        self._now = now

    def page(self, conn: Connection, limit: int, after: Run | None = None) -> Sequence[RunId]:
        """Return the ids of up to `limit` runs, newest first, those that follow run `after`."""
        way = self._best_way(conn)
        if not way.arms:
            return []
        found = self._joined(way, after)
        newest_first = [found.selected_columns[name].desc() for name in ("created_at", "id")]
        return [RunId(row.id) for row in conn.execute(found.order_by(*newest_first).limit(limit))]

    def count(self, conn: Connection) -> int:
        """Return how many runs match."""
        way = self._best_way(conn)
        if not way.arms:
            return 0
        return conn.scalar(select(func.count()).select_from(self._joined(way).subquery())) or 0

    # one way as a query

    def _joined(self, way: _Way, after: Run | None = None) -> Ids:
        selects = [self._select(arm, after) for arm in way.arms]
        if len(selects) == 1:
            return selects[0]
        return union(*selects) if way.overlap else union_all(*selects)

    def _select(self, arm: _Arm, after: Run | None) -> Select[Any]:
        # A bound that the page keeps anyway would be taken for the index in place of where the page begins.
        times = [bound for bound in arm.times if after is None or not bound.holds_before(after.created_at)]
        query = select(arm.created_at.label("created_at"), arm.id.label("id")).where(
            *arm.place, *(bound.of(arm.created_at) for bound in times)
        )
        if arm.rest:
            also = [opaque(condition(part, self._now)) for part in arm.rest]
            if arm.table is attributes:
                run = select(literal(1)).where(runs.c.number == attributes.c.run_number, *also)
                also = [exists(run.correlate(attributes))]
            query = query.where(*also)
        if after is not None:
            query = query.where(tuple_(arm.created_at, arm.id) < tuple_(after.created_at, after.id))
        return query

    # which ways there are

    def _best_way(self, conn: Connection) -> _Way:
        return self._shortest(conn, self._ways(self._parts) or self._ways_of_alternatives(conn))

    def _shortest(self, conn: Connection, ways: Sequence[_Way]) -> _Way:
        if len(ways) == 1 and ways[0].ordered:
            return ways[0]
        lengths = [self._length(conn, way) for way in ways]
        if ways and min(lengths) < math.inf:
            return ways[lengths.index(min(lengths))]
        return _Way((self._arm(self._parts, runs),))

    def _length(self, conn: Connection, way: _Way) -> float:
        """Return how many runs are on a way, as far as it was looked along."""
        if not way.arms:
            return 0
        bare = _Way(tuple(replace(arm, rest=()) for arm in way.arms))
        some = self._joined(bare).limit(_LOOK).subquery()
        length = conn.scalar(select(func.count()).select_from(some)) or 0
        return math.inf if length == _LOOK and not way.ordered else length

    def _ways(self, parts: tuple[Filter, ...]) -> list[_Way]:
        """Return the ways in which all `parts` may be answered; of equally short ones, the first is best."""
        ways: list[_Way] = []
        wanted = _states(parts)
        for part in parts:
            match part:
                case TextIs(TextField.WORKFLOW, values, negated=False):
                    pairs = product(values, wanted)
                    ways.append(self._way(parts, [_is_workflow(*pair) for pair in pairs], part, StateIs))
                case TextIs(field, values, negated=False) if field in _ORIGINS:
                    column = TEXT_COLUMNS[field]
                    ways.append(self._way(parts, [(column == storable(value),) for value in values], part))
                case TextIs(TextField.ID, values, negated=False):
                    ways.append(self._way_by_id(parts, values, part))
                case AttributeIs(compare=Compare.IS):
                    places = [(*_is_named(part.name), attributes.c.text == text) for text in texts_of(part)]
                    ways.append(self._way(parts, places, part, table=attributes))
                case _:
                    pass
        by_workflow = any(
            isinstance(part, TextIs) and part.field is TextField.WORKFLOW and not part.negated
            for part in parts
        )
        if len(wanted) < len(RunState) and not by_workflow:
            ways.append(self._way(parts, [(_is_state(state),) for state in wanted], StateIs))
        if not ways:
            ways = [way for part in parts for way in self._ways_by_name(parts, part)]
        return [way for way in ways if len(way.arms) <= _MAX_ARMS]

    def _ways_by_name(self, parts: tuple[Filter, ...], part: Filter) -> list[_Way]:
        match part:
            case AttributeIs(name):
                place = (*_is_named(name), value_condition(part, attributes))
            case HasAttribute(name):
                place = _is_named(name)
            case _:
                return []
        return [self._way(parts, [place], part, table=attributes)]

    def _ways_of_alternatives(self, conn: Connection) -> list[_Way]:
        """Return the way along all alternatives of the first `or`, if each has one of its own."""
        for either in self._parts:
            if not isinstance(either, AnyOf):
                continue
            others = tuple(part for part in self._parts if part is not either)
            arms: list[_Arm] = []
            for alternative in either.parts:
                ways = self._ways((*others, *parts_of(alternative)))
                ordered = [way for way in ways if way.ordered]
                if not ordered:
                    return []
                arms += self._shortest(conn, ordered).arms
            return [_Way(tuple(arms), overlap=True)] if len(arms) <= _MAX_ARMS else []
        return []

    def _way(
        self,
        parts: tuple[Filter, ...],
        places: Iterable[tuple[ColumnElement[bool], ...]],
        *answered: Filter | type[Filter],
        table: FromClause = runs,
    ) -> _Way:
        rest = tuple(part for part in parts if part not in answered and type(part) not in answered)
        return _Way(tuple(self._arm(rest, table, *place) for place in places))

    def _way_by_id(self, parts: tuple[Filter, ...], prefixes: Sequence[str], answered: TextIs) -> _Way:
        rest = tuple(part for part in parts if part is not answered)
        mine = opaque(runs.c.tenant == self._tenant)
        arms = [
            _Arm(runs, (mine, runs.c.id >= prefix, runs.c.id < prefix + _LAST, begins(prefix)), rest=rest)
            for prefix in map(storable, prefixes)
        ]
        return _Way(tuple(arms), overlap=True, ordered=False)

    def _arm(self, rest: tuple[Filter, ...], table: FromClause, *place: ColumnElement[bool]) -> _Arm:
        """Return the stretch at `place` of the tenant, cut to the times of creation that are wanted."""
        created = [
            part
            for part in rest
            if isinstance(part, TimeIs)
            and part.field is TimeField.CREATED
            and part.compare is not Compare.IS_NOT
        ]
        times = tuple(bound for part in created for bound in bounds(part, self._now))
        others = tuple(part for part in rest if part not in created)
        return _Arm(table, (table.c.tenant == self._tenant, *place), times, others)


def _states(parts: tuple[Filter, ...]) -> list[RunState]:
    given = [part.wanted for part in parts if isinstance(part, StateIs)]
    return [state for state in RunState if all(state in wanted for wanted in given)]


def _is_workflow(workflow: str, state: RunState) -> tuple[ColumnElement[bool], ...]:
    return (runs.c.workflow == storable(workflow), _is_state(state))


def _is_state(state: RunState) -> ColumnElement[bool]:
    return runs.c.state == state.value


def _is_named(name: str) -> tuple[ColumnElement[bool], ...]:
    return (attributes.c.name == name,)
