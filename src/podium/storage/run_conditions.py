"""Filters as conditions: what SQL says of one run, or of one attribute of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, assert_never

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Double,
    FromClause,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    type_coerce,
)

from podium.domain.attributes import attribute_text
from podium.domain.filters import (
    All,
    AnyOf,
    AttributeIs,
    Compare,
    Filter,
    HasAttribute,
    Literal,
    Not,
    NumberField,
    NumberIs,
    Present,
    StateIs,
    TextField,
    TextIs,
    TimeField,
    TimeIs,
    first_moment,
)
from podium.storage.tables import attributes, runs
from podium.storage.texts import storable

Condition = ColumnElement[bool]

_NANOS = 1e9
_DAY = 86_400.0
_MAX_NANOS = 2.0**63

_COMPARISONS: Final[Mapping[Compare, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        Compare.IS: operator.eq,
        Compare.IS_NOT: operator.ne,
        Compare.BELOW: operator.lt,
        Compare.AT_MOST: operator.le,
        Compare.ABOVE: operator.gt,
        Compare.AT_LEAST: operator.ge,
    }
)

TEXT_COLUMNS: Final[Mapping[TextField, Column[Any]]] = MappingProxyType(
    {
        TextField.ID: runs.c.id,
        TextField.WORKFLOW: runs.c.workflow,
        TextField.VERSION: runs.c.version,
        TextField.QUEUE: runs.c.queue,
        TextField.TRIGGER: runs.c.trigger,
        TextField.PARENT: runs.c.parent_run,
        TextField.ERROR: runs.c.error,
        TextField.WAITING: runs.c.waiting_on,
    }
)
"""Where the text of each field is kept."""

_TIME_COLUMNS: Final[Mapping[TimeField, Column[Any]]] = MappingProxyType(
    {
        TimeField.CREATED: runs.c.created_at,
        TimeField.STARTED: runs.c.started_at,
        TimeField.FINISHED: runs.c.finished_at,
    }
)


def condition(filter: Filter, now: float) -> Condition:
    """Return what `filter` says of a row of `runs`; times are relative to `now`, in seconds since the epoch."""
    match filter:
        case StateIs():
            return runs.c.state.in_([state.value for state in filter.wanted])
        case TextIs():
            return _text(filter)
        case TimeIs(field):
            column = _TIME_COLUMNS[field]
            within = and_(*(bound.of(column) for bound in bounds(filter, now)))
            return and_(column.is_not(None), not_(within)) if filter.compare is Compare.IS_NOT else within
        case NumberIs():
            return _number(filter)
        case AttributeIs(name):
            return _has(name, lambda held: value_condition(filter, held))
        case HasAttribute(name):
            return _has(name)
        case Present(TextField.VERSION):
            return runs.c.version != ""
        case Present(field):
            column = TEXT_COLUMNS[field] if isinstance(field, TextField) else _TIME_COLUMNS[field]
            return column.is_not(None)
        case All(parts):
            return and_(literal(True), *(condition(part, now) for part in parts))
        case AnyOf(parts):
            return or_(false(), *(condition(part, now) for part in parts))
        case Not(part):
            return not_(opaque(condition(part, now)))
        case _:
            assert_never(filter)


def opaque(condition: Condition) -> Condition:
    """Return the same condition, false where it is unknown, in a form that no planner takes an index for."""
    return func.coalesce(condition, false())


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a span of time: a comparison with a time in seconds since the epoch."""

    compare: Compare
    at: float

    def of(self, column: ColumnElement[Any]) -> Condition:
        """Return the condition that it puts on a column."""
        return _compared(column, self.compare, self.at)

    def holds_before(self, time: float) -> bool:
        """Return whether it holds for `time` and whatever was earlier."""
        match self.compare:
            case Compare.BELOW:
                return time < self.at
            case Compare.AT_MOST:
                return time <= self.at
            case _:
                return False


def bounds(filter: TimeIs, now: float) -> tuple[Bound, ...]:
    """Return the ends of the span that `filter` names, `now` being the present; of one that it excludes, too."""
    start = first_moment(filter.when, now)
    if filter.compare in (Compare.IS, Compare.IS_NOT):
        return (Bound(Compare.AT_LEAST, start), Bound(Compare.BELOW, start + _DAY))
    return (Bound(filter.compare, start),)


def value_condition(filter: AttributeIs, held: FromClause) -> Condition:
    """Return what `filter` says of the value in a row of `held`, which are attributes of its name."""
    text, number = held.c.text, held.c.number
    match filter.compare:
        case Compare.IS:
            return text.in_(texts_of(filter))
        case Compare.IS_NOT:
            return text.not_in(texts_of(filter))
        case _:
            (given,) = filter.values
            if given.number is not None:
                return _compared(number, filter.compare, float(given.number))
            return and_(number.is_(None), _COMPARISONS[filter.compare](text, storable(given.text)))


def texts_of(filter: AttributeIs) -> list[str]:
    """Return the texts that the values of `filter` are found by: a number as it was written and as it is kept."""
    return sorted({text for value in filter.values for text in _spellings(value)})


def begins(prefix: str) -> Condition:
    """Return that a run's id begins with `prefix`."""
    return func.substr(runs.c.id, 1, len(prefix)) == prefix


def _spellings(value: Literal) -> list[str]:
    kept = [] if value.number is None else [attribute_text(value.number)]
    return [storable(value.text), *kept]


def _text(filter: TextIs) -> Condition:
    column, values = TEXT_COLUMNS[filter.field], [storable(value) for value in filter.values]
    match filter.field:
        case TextField.ID:
            found = or_(false(), *(begins(value) for value in values))
        case TextField.WAITING:
            found = or_(false(), *(column.icontains(value, autoescape=True) for value in values))
        case TextField.ERROR:
            said = _error_text()
            found = or_(false(), *(said.icontains(value, autoescape=True) for value in values))
        case _:
            found = column.in_(values)
    return and_(column.is_not(None), not_(found)) if filter.negated else found


def _error_text() -> ColumnElement[str]:
    record = type_coerce(cast(runs.c.error, Text()), JSON())
    said: ColumnElement[str] = record["type"].as_string() + ": " + record["message"].as_string()
    return said


def _number(filter: NumberIs) -> Condition:
    match filter.field:
        case NumberField.COST:
            nanos = filter.number * _NANOS
            whole = float(round(nanos)) if abs(nanos) < _MAX_NANOS else nanos
            return _compared(runs.c.cost_nanos, filter.compare, whole)
        case NumberField.TOKENS:
            return _compared(runs.c.input_tokens + runs.c.output_tokens, filter.compare, filter.number)
        case NumberField.SECONDS:
            return _compared(runs.c.active_seconds, filter.compare, filter.number)
        case _:
            assert_never(filter.field)


def _compared(value: ColumnElement[Any], compare: Compare, number: float) -> Condition:
    compared: Condition = _COMPARISONS[compare](value, literal(number, Double()))
    return compared


def _has(name: str, value: Callable[[FromClause], Condition] | None = None) -> Condition:
    held = attributes.alias()
    found = select(literal(1)).where(held.c.run_number == runs.c.number, held.c.name == name)
    return exists((found if value is None else found.where(value(held))).correlate(runs))
