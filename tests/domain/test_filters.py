"""The filter language: what it reads, what it refuses and how, and that nothing else ever happens."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from podium.domain.errors import InvalidInput
from podium.domain.filter_language import MAX_FILTER, filter_of, parse_filter
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
    first_moment,
    narrowed,
    text_of,
)
from podium.domain.states import RunState
from tests.support.filters import filters

FAILED, BLOCKED = RunState.FAILED, RunState.BLOCKED
SUPPORT = TextIs(TextField.WORKFLOW, ("support",))
JANUARY = Day(date(2026, 1, 1))

WORDS = st.one_of(
    st.text(min_size=1, max_size=8),
    st.sampled_from(["or", "not", "and", "*", "a b", 'say "hi"', "=x", "-2h"]),
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
FRAGMENTS = st.sampled_from(
    [
        "state",
        "workflow",
        "attr.",
        "attr.x",
        "created",
        "error",
        "id",
        ":",
        "=",
        "!=",
        "<=",
        ">",
        "<",
        "(",
        ")",
        "'",
        '"',
        ",",
        "*",
        "or",
        "not",
        "and",
        "failed",
        "2h",
        "-7d",
        "2026-01-01",
        "1e999",
        "\\",
        "\x00",
        "\u202e",
        "�",
        "é",
    ]
)


@pytest.mark.parametrize(
    ("text", "filter"),
    [
        ("", EVERYTHING),
        ("  \n ", EVERYTHING),
        ("state:failed", StateIs((FAILED,))),
        ("state:failed,blocked", StateIs((FAILED, BLOCKED))),
        ("State = FAILED , blocked", StateIs((FAILED, BLOCKED))),
        ("state!=failed", StateIs((FAILED,), negated=True)),
        ("workflow:support", SUPPORT),
        ("workflow == support", SUPPORT),
        ("workflow:'my flow'", TextIs(TextField.WORKFLOW, ("my flow",))),
        (r'error:"say \"no\""', TextIs(TextField.ERROR, ('say "no"',))),
        ("id:2026-01:a=b", TextIs(TextField.ID, ("2026-01:a=b",))),
        ("parent:*", Present(TextField.PARENT)),
        ("parent:'*'", TextIs(TextField.PARENT, ("*",))),
        ("finished:*", Present(TimeField.FINISHED)),
        ("started>2026-01-01", TimeIs(TimeField.STARTED, Compare.ABOVE, JANUARY)),
        ("created=2026-01-01", TimeIs(TimeField.CREATED, Compare.IS, JANUARY)),
        (
            "created<=2026-01-01T10:30+02:00",
            TimeIs(TimeField.CREATED, Compare.AT_MOST, Moment(datetime(2026, 1, 1, 8, 30, tzinfo=UTC))),
        ),
        ("created>-2h", TimeIs(TimeField.CREATED, Compare.ABOVE, Ago("2h"))),
        ("created>7D", TimeIs(TimeField.CREATED, Compare.ABOVE, Ago("7d"))),
        ("cost>=0.5", NumberIs(NumberField.COST, Compare.AT_LEAST, 0.5)),
        ("tokens<1e3", NumberIs(NumberField.TOKENS, Compare.BELOW, 1000.0)),
        ("attr.customer=42", AttributeIs("customer", Compare.IS, (Literal("42", 42),))),
        ("attr.customer='42'", AttributeIs("customer", Compare.IS, (Literal("42"),))),
        ("attr.A.b-c:x,y", AttributeIs("A.b-c", Compare.IS, (Literal("x"), Literal("y")))),
        ("attr.amount>-1.5", AttributeIs("amount", Compare.ABOVE, (Literal("-1.5", -1.5),))),
        ("attr.vip:*", HasAttribute("vip")),
        ("state:failed workflow:support", All((StateIs((FAILED,)), SUPPORT))),
        ("state:failed and workflow:support", All((StateIs((FAILED,)), SUPPORT))),
        ("state:failed or not workflow:support", AnyOf((StateIs((FAILED,)), Not(SUPPORT)))),
        (
            "workflow:support (state:failed OR state:blocked)",
            All((SUPPORT, AnyOf((StateIs((FAILED,)), StateIs((BLOCKED,)))))),
        ),
        ("not not ( workflow:support )", Not(Not(SUPPORT))),
        ("not=1 or workflow:support", None),
    ],
)
def test_a_filter_reads_as(text: str, filter: Filter | None):
    if filter is None:
        with pytest.raises(InvalidInput, match="no field 'not'"):
            parse_filter(text)
    else:
        assert parse_filter(text) == filter
        assert parse_filter(text_of(filter)) == filter
        assert filter_of(text) == filter_of(filter) == filter


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("wrkflow:support", 1, "there is no field 'wrkflow'; did you mean workflow?"),
        ("state:failed colour:red", 14, "there is no field 'colour'; there are state, id, workflow"),
        ("attribute.customer=42", 1, "did you mean attr.customer?"),
        ("state:fialed", 7, "there is no state 'fialed'; did you mean failed?"),
        ("state>failed", 6, "state cannot be compared with >; write state:VALUE or state!=VALUE"),
        ("failed", 1, "'failed' is no condition; did you mean state:failed?"),
        ("everything", 1, "write FIELD:VALUE"),
        ("workflow:", 10, "a value is missing after 'workflow:'"),
        ("state:failed,", 14, "a value is missing"),
        ("(state:failed", 1, "this parenthesis is not closed"),
        ("state:failed)", 13, "this parenthesis closes nothing"),
        ("()", 2, "a condition such as state:failed is expected"),
        ("state:failed or", 16, "a condition such as state:failed is expected"),
        ("workflow:'a b", 10, "this quote is not closed"),
        ("cost>much", 6, "'much' is no number"),
        ("cost>1e999", 6, "'1e999' is no number"),
        ("cost>1,2", 8, "cost takes one value here"),
        ("created>yesterday", 9, "'yesterday' is no time; write 2026-01-31"),
        ("created>2026-02-30", 9, "is no time"),
        ("created>12", 9, "is no time"),
        ("created=-2h", 8, "a time is compared with < or >, such as created>-2h"),
        ("parent!=*", 7, "goes alone, after `:`"),
        ("attr.x:a,*", 7, "goes alone, after `:`"),
        ("attr.x>1,2", 10, "takes one value here"),
        ("attr.:1", 1, "an attribute's name begins with a letter"),
        ("not " * 21 + "state:failed", 85, "nested more than 20 deep"),
        ("(" * 3000, 22, "nested more than 20 deep"),
        ("id:" + ",".join(["a"] * 101), 204, "more than 100 values"),
        ("state:failed " * 101, 1301, "more than 100 conditions"),
    ],
)
def test_what_cannot_be_read_is_pointed_at_with_what_was_probably_meant(text: str, at: int, said: str):
    with pytest.raises(InvalidInput) as refused:
        parse_filter(text)
    assert f"at character {at} (" in str(refused.value)
    assert said in str(refused.value)


def test_a_filter_of_any_length_is_refused_before_it_is_looked_at():
    with pytest.raises(InvalidInput, match=r"has 4,001 characters; 4,000 are allowed"):
        parse_filter("x" * (MAX_FILTER + 1))


@given(st.one_of(st.text(), st.lists(FRAGMENTS).map("".join), st.lists(FRAGMENTS).map(" ".join)))
@example("created>9999-12-31T23:59-14:00")
@example("created>0001-01-01T00:00+14:00")
@example("attr.x=" + "9" * 400)
@example("created>" + "9" * 400 + "d")
def test_no_text_leads_to_anything_but_a_filter_or_a_plain_refusal(text: str):
    read = read_or_refused(text)
    if isinstance(read, str):
        assert read.isprintable()
        assert len(read) < 500
    else:
        assert parse_filter(text_of(read)) == read


def read_or_refused(text: str) -> Filter | str:
    """The filter, or why it is none."""
    try:
        return parse_filter(text)
    except InvalidInput as refused:
        return str(refused)


@given(filters(WORDS, NAMES, TIMES))
def test_every_filter_is_read_back_from_its_text(filter: Filter):
    assert parse_filter(text_of(filter)) == filter


def test_times_count_from_now_and_days_from_their_first_moment():
    assert first_moment(Ago("2h"), 10_000.0) == 2_800.0
    assert first_moment(Day(date(1970, 1, 2)), 5.0) == 86_400.0
    assert first_moment(Moment(datetime(1970, 1, 1, 0, 1, tzinfo=UTC)), 5.0) == 60.0


def test_a_filter_is_narrowed_to_states_and_a_workflow():
    assert narrowed(EVERYTHING) == EVERYTHING
    assert narrowed(SUPPORT, states={FAILED}) == All((SUPPORT, StateIs((FAILED,))))
    assert narrowed(EVERYTHING, workflow="support") == SUPPORT
    assert StateIs((FAILED,), negated=True).wanted == tuple(s for s in RunState if s is not FAILED)
    assert StateIs(()).wanted == ()


def test_filters_are_plain_frozen_data():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SUPPORT.negated = True  # type: ignore[misc]
