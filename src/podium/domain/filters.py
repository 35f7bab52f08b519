"""Filters: which runs are meant. One language for the command line and the API, here as plain data.

`podium.domain.filter_language` reads them from text; `text_of` writes them back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import assert_never

from podium.domain.durations import seconds
from podium.domain.states import RunState


class Compare(StrEnum):
    """How a field's value stands to the one that is given."""

    IS = "="
    IS_NOT = "!="
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="


class TextField(StrEnum):
    """Fields that hold text. `id` matches by how it begins, `error` and `waiting` by what they contain."""

    ID = "id"
    WORKFLOW = "workflow"
    VERSION = "version"
    QUEUE = "queue"
    TRIGGER = "trigger"
    PARENT = "parent"
    ERROR = "error"
    WAITING = "waiting"


class TimeField(StrEnum):
    """Fields that hold a time."""

    CREATED = "created"
    STARTED = "started"
    FINISHED = "finished"


class NumberField(StrEnum):
    """Fields that hold a number: `cost` in dollars, `tokens` read and written, `seconds` of active time."""

    COST = "cost"
    TOKENS = "tokens"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, in UTC."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Ago:
    """A time before now, given as a duration such as `2h`."""

    duration: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the UTC calendar. Compared, it stands for its first moment; a time `is` it all day long."""

    day: date


When = Moment | Ago | Day


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it was given for an attribute. `number` is set when it was not quoted and reads as one."""

    text: str
    number: int | float | None = None


@dataclass(frozen=True, slots=True)
class StateIs:
    """The run is in one of these states, or, negated, in none of them."""

    states: tuple[RunState, ...]
    negated: bool = False

    @property
    def wanted(self) -> tuple[RunState, ...]:
        """The states that match, in the order of their table."""
        return tuple(state for state in RunState if (state in self.states) is not self.negated)


@dataclass(frozen=True, slots=True)
class TextIs:
    """The field matches one of these values; negated, it has a value that matches none of them."""

    field: TextField
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class TimeIs:
    """The field's time stands so to this one. `IS` and `IS_NOT` go with a day only."""

    field: TimeField
    compare: Compare
    when: When


@dataclass(frozen=True, slots=True)
class NumberIs:
    """The field's number stands so to this one."""

    field: NumberField
    compare: Compare
    number: float


@dataclass(frozen=True, slots=True)
class AttributeIs:
    """The run has the attribute, and its value stands so to this one, or to one of these with `IS`.

    With `IS_NOT`, it differs from all of them.
    """

    name: str
    compare: Compare
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """The field has a value, whatever it is."""

    field: TextField | TimeField


@dataclass(frozen=True, slots=True)
class HasAttribute:
    """The run has the attribute, whatever its value."""

    name: str


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; without parts, always."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Condition = StateIs | TextIs | TimeIs | NumberIs | AttributeIs | Present | HasAttribute
Filter = Condition | All | AnyOf | Not

EVERYTHING = All(())
"""The filter that every run matches."""

_SIGN = {False: ":", True: "!="}
_BARE = re.compile(r"[\w./+-][\w./+:@#%-]*")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def narrowed(
    filter: Filter, *, states: Collection[RunState] | None = None, workflow: str | None = None
) -> Filter:
    """Return `filter` for runs of these states and this workflow only, where they are given."""
    more: list[Filter] = []
    if states is not None:
        more.append(StateIs(tuple(sorted(states))))
    if workflow is not None:
        more.append(TextIs(TextField.WORKFLOW, (workflow,)))
    parts = (*parts_of(filter), *more)
    return parts[0] if len(parts) == 1 else All(parts)


def parts_of(filter: Filter) -> tuple[Filter, ...]:
    """Return the filters that must all hold for `filter` to hold, none of them an `All`."""
    if not isinstance(filter, All):
        return (filter,)
    return tuple(inner for part in filter.parts for inner in parts_of(part))


def first_moment(when: When, now: float) -> float:
    """Return when it is, or when the day begins; `now` and the result are in seconds since the epoch."""
    match when:
        case Moment(at):
            return at.timestamp()
        case Ago(duration):
            return now - seconds(duration)
        case Day(day):
            return datetime.combine(day, time(), UTC).timestamp()
        case _:
            assert_never(when)


def number_in(text: str) -> int | float | None:
    """Return the finite number that `text` spells, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    if not abs(number) < float("inf"):
        return None
    return int(text) if text.lstrip("+-").isdigit() else number


def text_of(filter: Filter) -> str:
    """Return the text that reads as `filter`."""
    match filter:
        case StateIs(states, negated):
            return f"state{_SIGN[negated]}{','.join(states)}"
        case TextIs(field, values, negated):
            return f"{field}{_SIGN[negated]}{','.join(map(_quoted, values))}"
        case TimeIs(field, compare, when):
            return f"{field}{compare}{_time(when)}"
        case NumberIs(field, compare, number):
            return f"{field}{compare}{number!r}"
        case AttributeIs(name, compare, values):
            return f"attr.{name}{compare}{','.join(map(_literal, values))}"
        case Present(field):
            return f"{field}:*"
        case HasAttribute(name):
            return f"attr.{name}:*"
        case All(parts):
            return " ".join(_nested(parts))
        case AnyOf(parts):
            return " or ".join(_nested(parts))
        case Not(part):
            return f"not {_nested([part])[0]}"
        case _:
            assert_never(filter)


def _nested(parts: Sequence[Filter]) -> list[str]:
    return [f"({text_of(part)})" if isinstance(part, All | AnyOf) else text_of(part) for part in parts]


def _time(when: When) -> str:
    match when:
        case Moment(at):
            return at.isoformat()
        case Ago(duration):
            return duration
        case Day(day):
            return day.isoformat()
        case _:
            assert_never(when)


def _literal(literal: Literal) -> str:
    if literal.number is not None:
        return literal.text
    return _quoted(literal.text, always=number_in(literal.text) is not None)


def _quoted(text: str, *, always: bool = False) -> str:
    if not always and _BARE.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
