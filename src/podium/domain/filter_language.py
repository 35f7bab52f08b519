"""The filter language: `state:failed,blocked workflow:support (cost>0.5 or attr.vip=true) not started<-2h`.

    filter     := part ("or" part)*
    part       := item ("and"? item)*
    item       := "not" item | "(" filter ")" | field compare value ("," value)*
    compare    := ":" | "=" | "!=" | "<" | "<=" | ">" | ">="

`:` and `=` are the same. `*` stands for any value. Values are bare, or quoted when they hold blanks, quotes,
commas or parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeVar

from podium.domain.attributes import MAX_ATTRIBUTE_TEXT
from podium.domain.durations import seconds
from podium.domain.errors import InvalidInput
from podium.domain.filters import (
    EVERYTHING,
    Ago,
    All,
    AnyOf,
    AttributeIs,
    Compare,
    Day,
    Filter,
    HasAttribute,
    Literal,
    Moment,
    Not,
    NumberField,
    NumberIs,
    Present,
    StateIs,
    TextField,
    TextIs,
    TimeField,
    TimeIs,
    When,
    number_in,
)
from podium.domain.states import RunState

FIELDS: Final = (
    "state", *TextField, *TimeField, *NumberField, "attr.NAME",
)  # fmt: skip
"""The fields that a filter may name."""

MAX_FILTER = 4000
"""How many characters a filter may have."""

_MAX_CONDITIONS = 100
_MAX_VALUES = 100
_MAX_DEPTH = 20
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_COMPARE = re.compile(r"\s*(!=|<=|>=|==|[:=<>])\s*")
_COMMA = re.compile(r"\s*,\s*")
_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"""[^\s"',()]+""")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_AGO = re.compile(r"-?[0-9]")

_NULLABLE: Final = frozenset(TextField) - {TextField.ID, TextField.WORKFLOW}
_EXACT: Final = (Compare.IS, Compare.IS_NOT)

E = TypeVar("E", bound=StrEnum)


def parse_filter(text: str) -> Filter:
    """Return the filter that `text` spells; blank text is the filter that every run matches.

    Raises `InvalidInput`, which says at which character the problem is and what was probably meant.
    """
    if len(text) > MAX_FILTER:
        raise InvalidInput(f"the filter has {len(text):,} characters; {MAX_FILTER:,} are allowed.")
    return _Reader(text).everything()


def filter_of(given: str | Filter) -> Filter:
    """Return a filter that was given as text or as itself; raises `InvalidInput` as `parse_filter` does."""
    return parse_filter(given) if isinstance(given, str) else given


@dataclass(frozen=True, slots=True)
class _Value:
    """A value as written, and where it begins."""

    text: str
    quoted: bool
    at: int

    @property
    def is_any(self) -> bool:
        return self.text == "*" and not self.quoted


class _Reader:
    """Reads one filter from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._conditions = 0
        self._depth = 0

    def everything(self) -> Filter:
        self._skip(_BLANK)
        if self._ends():
            return EVERYTHING
        found = self._filter()
        if not self._ends():
            raise self._problem(
                "this parenthesis closes nothing" if self._next() == ")" else "a condition is expected"
            )
        return found

    def _filter(self) -> Filter:
        parts = [self._part()]
        while self._keyword("or"):
            parts.append(self._part())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _part(self) -> Filter:
        items = [self._item()]
        while not self._ends() and self._next() != ")" and not self._is_keyword("or"):
            self._keyword("and")
            items.append(self._item())
        return items[0] if len(items) == 1 else All(tuple(items))

    def _item(self) -> Filter:
        if self._keyword("not"):
            return Not(self._deeper(self._item))
        if self._next() != "(":
            return self._condition()
        opened = self._at
        self._at += 1
        self._skip(_BLANK)
        inside = self._deeper(self._filter)
        if self._next() != ")":
            raise self._problem("this parenthesis is not closed", opened)
        self._at += 1
        self._skip(_BLANK)
        return inside

    def _deeper(self, read: Callable[[], Filter]) -> Filter:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._problem(f"parentheses and `not` are nested more than {_MAX_DEPTH} deep")
        inside = read()
        self._depth -= 1
        return inside

    def _condition(self) -> Filter:
        began = self._at
        found = _FIELD.match(self._text, began)
        compare = _COMPARE.match(self._text, found.end()) if found else None
        if found is None or compare is None:
            raise self._no_condition(began)
        self._conditions += 1
        if self._conditions > _MAX_CONDITIONS:
            raise self._problem(f"there are more than {_MAX_CONDITIONS} conditions")
        self._at = compare.end()
        sign = compare[1]
        values = self._values(found[0] + sign)
        return self._meant(
            found[0], began, Compare("=" if sign in (":", "==") else sign), compare.start(1), values
        )

    def _no_condition(self, began: int) -> InvalidInput:
        word = _WORD.match(self._text, began)
        if word is None:
            return self._problem("a condition such as state:failed is expected", began)
        said = f"{word[0][:40]!a} is no condition"
        if word[0].lower() in list(RunState):
            return self._problem(f"{said}; did you mean state:{word[0].lower()}?", began)
        return self._problem(f"{said}; write FIELD:VALUE, such as state:failed or workflow:support", began)

    def _values(self, of: str) -> list[_Value]:
        values = [self._value(of)]
        while comma := _COMMA.match(self._text, self._at):
            self._at = comma.end()
            values.append(self._value(of))
            if len(values) > _MAX_VALUES:
                raise self._problem(f"there are more than {_MAX_VALUES} values", values[-1].at)
        self._skip(_BLANK)
        return values

    def _value(self, of: str) -> _Value:
        began = self._at
        if self._next() in ('"', "'"):
            quoted = _QUOTED.match(self._text, began)
            if quoted is None:
                raise self._problem("this quote is not closed")
            self._at = quoted.end()
            inside = quoted[1] if quoted[1] is not None else quoted[2]
            return _Value(_ESCAPE.sub(r"\1", inside), True, began)
        word = _WORD.match(self._text, began)
        if word is None:
            raise self._problem(f"a value is missing after {of!a}")
        self._at = word.end()
        return _Value(word[0], False, began)

    # what is meant by field, comparison and values

    def _meant(self, field: str, at: int, compare: Compare, compare_at: int, values: list[_Value]) -> Filter:
        name = field.lower()
        if name.startswith("attr."):
            return self._attribute(field[5:], at, compare, compare_at, values)
        if name == "state":
            self._only_exact(field, compare, compare_at)
            states = dict.fromkeys(self._one_of(RunState, "state", value) for value in values)
            return StateIs(tuple(states), compare is Compare.IS_NOT)
        if name in list(TextField):
            return self._about_text(TextField(name), compare, compare_at, values)
        if name in list(TimeField):
            return self._about_time(TimeField(name), compare, compare_at, values)
        if name in list(NumberField):
            number = number_in(self._single(field, values).text)
            if number is None:
                raise self._problem(f"{values[0].text[:40]!a} is no number", values[0].at)
            return NumberIs(NumberField(name), compare, float(number))
        raise self._problem(f"there is no field {field[:40]!a}{_suggested(name, FIELDS)}", at)

    def _attribute(
        self, name: str, at: int, compare: Compare, compare_at: int, values: list[_Value]
    ) -> Filter:
        if not name or len(name) > 64 or not _FIELD.fullmatch(name):
            raise self._problem("an attribute's name begins with a letter, such as attr.customer", at)
        if self._any(compare, compare_at, values):
            return HasAttribute(name)
        if compare not in _EXACT:
            self._single(f"attr.{name}", values)
        for value in values:
            if len(value.text) > MAX_ATTRIBUTE_TEXT:
                raise self._problem(f"no attribute is longer than {MAX_ATTRIBUTE_TEXT} characters", value.at)
        literals = (Literal(v.text, None if v.quoted else number_in(v.text)) for v in values)
        return AttributeIs(name, compare, tuple(dict.fromkeys(literals)))

    def _about_text(
        self, field: TextField, compare: Compare, compare_at: int, values: list[_Value]
    ) -> Filter:
        self._only_exact(field, compare, compare_at)
        if field in _NULLABLE and self._any(compare, compare_at, values):
            return Present(field)
        return TextIs(field, tuple(dict.fromkeys(v.text for v in values)), compare is Compare.IS_NOT)

    def _about_time(
        self, field: TimeField, compare: Compare, compare_at: int, values: list[_Value]
    ) -> Filter:
        value = self._single(field, values)
        if field is not TimeField.CREATED and self._any(compare, compare_at, values):
            return Present(field)
        when = self._time(value)
        if compare in _EXACT and not isinstance(when, Day):
            raise self._problem(
                f"a time is compared with < or >, such as {field}>-2h; only a whole day can be matched",
                compare_at,
            )
        return TimeIs(field, compare, when)

    def _time(self, value: _Value) -> When:
        text = value.text.strip()
        try:
            return Day(date.fromisoformat(text))
        except ValueError:
            pass
        try:
            at = datetime.fromisoformat(text)
            return Moment(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC))
        except (ValueError, OverflowError):
            pass
        try:
            if _AGO.match(text):
                duration = "".join(text.removeprefix("-").lower().split())
                seconds(duration)
                return Ago(duration)
        except InvalidInput:
            pass
        raise self._problem(
            f"{value.text[:40]!a} is no time; write 2026-01-31, 2026-01-31T08:00, or -2h or 7d for that long ago",
            value.at,
        )

    def _one_of(self, members: type[E], what: str, value: _Value) -> E:
        text = value.text.lower()
        if text not in list(members):
            raise self._problem(
                f"there is no {what} {text[:40]!a}{_suggested(text, list(members))}", value.at
            )
        return members(text)

    def _only_exact(self, field: str, compare: Compare, at: int) -> None:
        if compare not in _EXACT:
            raise self._problem(
                f"{field} cannot be compared with {compare}; write {field}:VALUE or {field}!=VALUE", at
            )

    def _single(self, field: str, values: list[_Value]) -> _Value:
        if len(values) > 1:
            raise self._problem(f"{field} takes one value here; join conditions with `or`", values[1].at)
        return values[0]

    def _any(self, compare: Compare, compare_at: int, values: list[_Value]) -> bool:
        if not any(value.is_any for value in values):
            return False
        if len(values) > 1 or compare is not Compare.IS:
            raise self._problem(
                "* stands for any value and goes alone, after `:`; for none write `not FIELD:*`", compare_at
            )
        return True

    # the text

    def _keyword(self, word: str) -> bool:
        if not self._is_keyword(word):
            return False
        self._at += len(word)
        self._skip(_BLANK)
        return True

    def _is_keyword(self, word: str) -> bool:
        found = _FIELD.match(self._text, self._at)
        return found is not None and found[0].lower() == word and not _COMPARE.match(self._text, found.end())

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _ends(self) -> bool:
        return self._at >= len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _problem(self, problem: str, at: int | None = None) -> InvalidInput:
        where = self._at if at is None else at
        rest = self._text[where : where + 30]
        end = "" if problem.endswith("?") else "."
        shown = f" ({rest!a})" if rest else " (its end)"
        return InvalidInput(f"the filter, at character {where + 1}{shown}: {problem}{end}")


def _suggested(given: str, known: Iterable[str]) -> str:
    names = list(known)
    head, dot, name = given.partition(".")
    if dot and get_close_matches(head, ["attr", "attribute", "attributes"], n=1):
        return f"; did you mean attr.{name}?"
    close = get_close_matches(given, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"
