"""Filters of every kind, for Hypothesis, and what they mean, spelled out in Python."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import assert_never

from hypothesis import strategies as st

from podium.domain.attributes import AttributeValue, attribute_number, attribute_text
from podium.domain.filters import (
    Ago,
    All,
    AnyOf,
    AttributeIs,
    Compare,
    Condition,
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
    first_moment,
    number_in,
)
from podium.domain.runs import Run
from podium.domain.states import RunState

ORDER = (Compare.BELOW, Compare.AT_MOST, Compare.ABOVE, Compare.AT_LEAST)
EXACT = (Compare.IS, Compare.IS_NOT)
NULLABLE = tuple(field for field in TextField if field not in (TextField.ID, TextField.WORKFLOW))
COMPARISONS: Mapping[Compare, Callable[..., bool]] = {
    Compare.IS: operator.eq,
    Compare.IS_NOT: operator.ne,
    Compare.BELOW: operator.lt,
    Compare.AT_MOST: operator.le,
    Compare.ABOVE: operator.gt,
    Compare.AT_LEAST: operator.ge,
}
DAY = 86_400.0


def filters(
    words: st.SearchStrategy[str], names: st.SearchStrategy[str], times: st.SearchStrategy[datetime]
) -> st.SearchStrategy[Filter]:
    """Filters whose texts, attribute names and times are taken from these."""
    booleans = st.booleans()
    bare = st.one_of(words, st.sampled_from(["1", "2.5", "-3", "1e3", "007"]))
    literals = st.one_of(bare.map(lambda text: Literal(text, number_in(text))), bare.map(Literal))
    ago = st.sampled_from(["2h", "7d", "1h30m", "90s", "0.5d"]).map(Ago)
    moments = times.map(Moment)
    days = times.map(lambda at: Day(at.date()))

    def several(of: st.SearchStrategy, most: int = 3) -> st.SearchStrategy:
        return st.lists(of, min_size=1, max_size=most, unique=True).map(tuple)

    simple = st.one_of(
        st.builds(StateIs, several(st.sampled_from(RunState), 8), booleans),
        st.builds(TextIs, st.sampled_from(TextField), several(words), booleans),
        st.builds(TimeIs, st.sampled_from(TimeField), st.sampled_from(ORDER), st.one_of(ago, moments, days)),
        st.builds(TimeIs, st.sampled_from(TimeField), st.sampled_from(EXACT), days),
        st.builds(
            NumberIs,
            st.sampled_from(NumberField),
            st.sampled_from(Compare),
            st.sampled_from([0.0, 0.25, 1.0, 12.0, 1e30]),
        ),
        st.builds(AttributeIs, names, st.sampled_from(EXACT), several(literals)),
        st.builds(AttributeIs, names, st.sampled_from(ORDER), several(literals, 1)),
        st.builds(Present, st.sampled_from([*NULLABLE, TimeField.STARTED, TimeField.FINISHED])),
        st.builds(HasAttribute, names),
    )
    return st.recursive(
        simple,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=4).map(lambda parts: All(tuple(parts))),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
            inner.map(Not),
        ),
        max_leaves=6,
    )


def matches(filter: Filter, run: Run, attributes: Mapping[str, AttributeValue], now: float) -> bool:
    """Whether a run with these attributes is meant by `filter`."""
    match filter:
        case All(parts):
            return all(matches(part, run, attributes, now) for part in parts)
        case AnyOf(parts):
            return any(matches(part, run, attributes, now) for part in parts)
        case Not(part):
            return not matches(part, run, attributes, now)
        case _:
            return holds(filter, run, attributes, now)


def holds(filter: Condition, run: Run, attributes: Mapping[str, AttributeValue], now: float) -> bool:
    match filter:
        case StateIs(states, negated):
            return (run.state in states) is not negated
        case TextIs(field, values, negated):
            text = text_field(field, run)
            return (
                text is not None and any(text_matches(field, text, value) for value in values) is not negated
            )
        case TimeIs(field, compare, when):
            at, start = time_field(field, run), first_moment(when, now)
            if at is None:
                return False
            if compare in EXACT:
                return (start <= at < start + DAY) is (compare is Compare.IS)
            return COMPARISONS[compare](at, start)
        case NumberIs(field, compare, number):
            return COMPARISONS[compare](number_field(field, run), number)
        case AttributeIs(name, compare, values):
            return name in attributes and value_matches(compare, attributes[name], values)
        case Present(field):
            value = text_field(field, run) if isinstance(field, TextField) else time_field(field, run)
            return value not in (None, "")
        case HasAttribute(name):
            return name in attributes
        case _:
            assert_never(filter)


def text_field(field: TextField, run: Run) -> str | None:
    return {
        TextField.ID: run.id,
        TextField.WORKFLOW: run.workflow,
        TextField.VERSION: run.version,
        TextField.QUEUE: run.placement.queue,
        TextField.TRIGGER: run.trigger,
        TextField.PARENT: None if run.parent is None else run.parent.run,
        TextField.ERROR: None if run.error is None else f"{run.error.type}: {run.error.message}",
        TextField.WAITING: run.waiting_on,
    }[field]


def text_matches(field: TextField, text: str, value: str) -> bool:
    if field is TextField.ID:
        return text.startswith(value)
    if field in (TextField.ERROR, TextField.WAITING):
        return value.lower() in text.lower()
    return text == value


def time_field(field: TimeField, run: Run) -> float | None:
    return {
        TimeField.CREATED: run.created_at,
        TimeField.STARTED: run.started_at,
        TimeField.FINISHED: run.finished_at,
    }[field]


def number_field(field: NumberField, run: Run) -> float:
    spending = run.spending
    return {
        NumberField.COST: spending.cost_nanos / 1e9,
        NumberField.TOKENS: spending.usage.input_tokens + spending.usage.output_tokens,
        NumberField.SECONDS: spending.active_seconds,
    }[field]


def value_matches(compare: Compare, held: AttributeValue, given: tuple[Literal, ...]) -> bool:
    if compare in EXACT:
        same = any(is_same(held, literal) for literal in given)
        return same is (compare is Compare.IS)
    (literal,) = given
    number = attribute_number(held)
    if literal.number is not None:
        return number is not None and COMPARISONS[compare](number, literal.number)
    return number is None and COMPARISONS[compare](held, literal.text)


def is_same(held: AttributeValue, literal: Literal) -> bool:
    spelled = literal.text == attribute_text(held)
    return spelled or (literal.number is not None and attribute_text(held) == attribute_text(literal.number))
