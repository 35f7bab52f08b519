"""Templates are checked when they are made, and filled in exactly once."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from enum import Enum, StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from podium.domain.errors import InvalidDefinition, InvalidInput
from podium.gateway.template import Template


class Colour(Enum):
    RED = "red"


class Size(StrEnum):
    LARGE = "large"


class Customer(BaseModel):
    name: str
    age: int | None = None
    _secret: str = "hidden"

    @property
    def greeting(self) -> str:
        return f"Dear {self.name}"

    def shout(self) -> str:
        return self.name.upper()


@dataclasses.dataclass
class Ticket:
    text: str
    customer: Customer


def made(source: str) -> Template:
    return Template.parse(source, "prompt 'p'")


def filled(source: str, **variables: object) -> str:
    template = made(source)
    template.check(variables, "prompt 'p'")
    return template.render(variables)


ADA = Customer(name="Ada")
TICKET = Ticket("It broke", ADA)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("Hello {", "cannot be read"),
        ("Hello }", "cannot be read"),
        ("Hello {name", "cannot be read"),
        ("Hello {}", "positional"),
        ("Hello {0}", "positional"),
        ("Hello {name!r}", "{name!r} has a conversion"),
        ("Hello {name!x}", "conversion"),
        ("Price {price:.2f}", "{price:.2f} has a conversion or format"),
        ('Answer {"label": 1}', "literal braces are written"),
        ("Hello {names[0]}", "is not a name"),
        ("Hello {a b}", "is not a name"),
        ("Hello {ticket.}", "is not a name"),
        ("Hello {class}", "keyword"),
        ("Hello {_name}", "private"),
        ("Hello {name.__class__}", "private"),
        ("Hello {name._secret}", "private"),
        ("", "empty"),
        ("  \n", "empty"),
    ],
)
def test_a_template_that_can_never_work_is_refused_when_it_is_made(source: str, problem: str):
    with pytest.raises(InvalidDefinition, match=r"^prompt 'p'") as raised:
        made(source)
    assert problem in str(raised.value)


def test_the_variables_are_known_from_the_template():
    assert made("{a} {b.c} {a} {{d}}").variables == ("a", "b")


def test_missing_and_unexpected_variables_are_refused_by_name():
    with pytest.raises(InvalidInput) as raised:
        made("{a} {b}").check({"b": 1, "c": 2}, "prompt 'p'")
    assert str(raised.value) == (
        "prompt 'p' was called with the wrong variables: missing: a; unexpected: c. Its template takes: a, b."
    )


@pytest.mark.parametrize(
    "path", ["customer.nam", "customer.shout", "customer.model_extra", "text.upper", "text.x"]
)
def test_only_data_can_be_reached(path: str):
    with pytest.raises(InvalidInput) as raised:
        made(f"{{ticket.{path}}}").check({"ticket": TICKET}, "prompt 'p'")
    assert f"has no ticket.{path}" in str(raised.value)


def test_fields_properties_and_mapping_keys_are_data():
    source = "{ticket.text}/{ticket.customer.name}/{ticket.customer.greeting}/{map.key}"
    assert filled(source, ticket=TICKET, map={"key": "v"}) == "It broke/Ada/Dear Ada/v"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        ("", ""),
        (12, "12"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        (Colour.RED, "red"),
        (Size.LARGE, "large"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (["ä", 1], '["ä",1]'),
        ({"a": [1]}, '{"a":[1]}'),
        (ADA, '{"name":"Ada","age":null}'),
        ([ADA], '[{"name":"Ada","age":null}]'),
        (TICKET, '{"text":"It broke","customer":{"name":"Ada","age":null}}'),
    ],
)
def test_texts_are_inserted_as_they_are_and_the_rest_as_json(value: object, text: str):
    assert filled("<{value}>", value=value) == f"<{text}>"


def test_doubled_braces_are_literal():
    assert filled('Write {{"label": "{label}"}}', label="x") == 'Write {"label": "x"}'


def test_halves_of_a_surrogate_pair_are_joined_or_replaced_so_that_the_text_can_be_sent():
    assert filled("{a}", a="\ud83d\ude00 and \ud83d") == "😀 and \ufffd"


@settings(deadline=None)
@given(st.text(), st.text())
def test_values_are_never_read_as_template(first: str, second: str):
    def sendable(text: str) -> bool:
        return text.isascii() or text.encode("utf-8", "replace").decode() == text

    rendered = made("<{a}|{b}>").render({"a": first, "b": second})
    assert rendered.encode()
    if sendable(first) and sendable(second):
        assert rendered == f"<{first}|{second}>"


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_template_or_refused_as_one(source: str):
    with contextlib.suppress(InvalidDefinition, InvalidInput):
        template = made(source)
        variables = dict.fromkeys(template.variables, "x")
        template.check(variables, "prompt 'p'")
        assert template.render(variables)
