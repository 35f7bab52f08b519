"""Values are taken strictly: what a model gave is what the type says, or the model hears what is wrong."""

from __future__ import annotations

import dataclasses
import datetime
import json
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, field_validator

from podium.domain.answers import FailureKind
from podium.domain.errors import InvalidDefinition
from podium.domain.quality import Quality, Verdict
from podium.gateway.output.form import OutputForm
from podium.gateway.output.results import Reading, Unusable, Usable
from podium.gateway.output.validation import obeys, validated


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    name: str
    price: float = 0.0
    count: int = 1


class Order(BaseModel):
    items: list[Item]
    colour: Colour = Colour.RED
    paid: bool = False


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Node(BaseModel):
    label: str
    children: list[Node] = []


class Dated(BaseModel):
    day: datetime.date
    amount: Decimal
    id: UUID
    tags: frozenset[str]


def form(annotation: Any) -> OutputForm[Any]:
    return OutputForm.of(annotation, "prompt 'p'")


def taken(annotation: Any, value: Any) -> Reading:
    return validated(form(annotation), Usable(value))


def problem(reading: Reading, kind: FailureKind = FailureKind.INVALID_SCHEMA) -> str:
    assert isinstance(reading, Unusable), reading
    assert reading.kind is kind
    return reading.problem


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Item, {"name": "x", "price": 2}, Item(name="x", price=2.0)),
        (
            Order,
            {"items": [{"name": "x"}], "colour": "blue"},
            Order(items=[Item(name="x")], colour=Colour.BLUE),
        ),
        (Point, {"x": 1}, Point(1)),
        (Node, {"label": "a", "children": [{"label": "b"}]}, Node(label="a", children=[Node(label="b")])),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Colour, {"value": "red"}, Colour.RED),
        (Literal["yes", "no"], {"value": "no"}, "no"),
        (bool, {"value": True}, True),
        (int, {"value": 7}, 7),
        (float, {"value": 7}, 7.0),
        (list[Item], {"value": [{"name": "x"}]}, [Item(name="x")]),
        (Item | None, {"value": None}, None),
        (Annotated[str, Field(max_length=3)], {"value": "abc"}, "abc"),
        (tuple[int, str], {"value": [1, "a"]}, (1, "a")),
        (
            Dated,
            {
                "day": "2026-01-02",
                "amount": "1.20",
                "id": "12345678-1234-5678-1234-567812345678",
                "tags": ["a"],
            },
            Dated(
                day=datetime.date(2026, 1, 2),
                amount=Decimal("1.20"),
                id=UUID("12345678-1234-5678-1234-567812345678"),
                tags=frozenset({"a"}),
            ),
        ),
    ],
)
def test_every_kind_of_type_is_asked_for_as_an_object_and_taken_from_one(
    annotation: Any, value: Any, expected: Any
):
    schema = form(annotation).schema
    assert schema is not None
    assert schema["type"] == "object"
    assert taken(annotation, value) == Usable(expected, Quality())


def test_free_text_has_no_schema_and_no_instruction():
    assert form(str).schema is None
    assert form(str).instruction is None


def test_definitions_stay_reachable_in_wrapped_and_recursive_schemas():
    for annotation in (list[Order], Node):
        schema = form(annotation).schema
        text = json.dumps(schema)
        assert schema is not None
        named = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
        assert named
        assert named <= set(schema["$defs"])


def test_the_instruction_holds_the_schema_that_is_sent():
    asked = form(Order)
    assert asked.instruction is not None
    assert json.loads(asked.instruction.split("\n", 1)[1]) == asked.schema


@pytest.mark.parametrize("annotation", [lambda: None, len, "NoSuchName", type("Opaque", (), {})])
def test_a_type_that_json_cannot_express_is_refused(annotation: Any):
    with pytest.raises(InvalidDefinition, match="output="):
        form(annotation)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, {"value": "12"}, 12),
        (float, {"value": "2.50"}, 2.5),
        (bool, {"value": "true"}, True),
        (Order, {"items": [{"name": "x", "count": "3"}]}, Order(items=[Item(name="x", count=3)])),
    ],
)
def test_quotes_around_numbers_and_booleans_are_taken_off_and_said(
    annotation: Any, value: Any, expected: Any
):
    reading = taken(annotation, value)
    assert isinstance(reading, Usable)
    assert reading.value == expected
    assert reading.quality.verdict is Verdict.DEGRADED
    assert "quotes" in reading.quality.reasons[0]


def test_a_value_without_the_object_around_it_is_taken_and_said():
    reading = taken(Colour, "red")
    assert isinstance(reading, Usable)
    assert reading.value is Colour.RED
    assert reading.quality.verdict is Verdict.DEGRADED


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, {"value": "twelve"}),
        (int, {"value": "12.5"}),
        (int, {"value": 12.5}),
        (int, {"value": True}),
        (float, {"value": "NaN"}),
        (float, {"value": "1e999"}),
        (bool, {"value": "yes"}),
        (bool, {"value": 1}),
        (bool, {"value": "1"}),
        (str | int, {"value": 1.5}),
        (Item, {"name": 5}),
        (Item, ["x"]),
        (Item, None),
        (list[int], {"value": "1, 2"}),
    ],
)
def test_no_other_coercion_happens(annotation: Any, value: Any):
    assert problem(taken(annotation, value))


def test_the_value_given_is_not_changed_by_taking_quotes_off():
    value = {"value": "12"}
    taken(int, value)
    assert value == {"value": "12"}


def test_an_invented_label_is_named_with_what_is_allowed():
    assert problem(taken(Colour, {"value": "green"})) == (
        "the answer: Input should be 'red' or 'blue', not \"green\""
    )


def test_problems_name_their_path():
    said = problem(taken(Order, {"items": [{"name": "x"}, {"price": "cheap"}], "paid": "maybe"}))
    assert said.startswith("items[1].name: Field required; items[1].price: ")
    assert 'paid: Input should be a valid boolean, not "maybe"' in said


def test_many_and_long_problems_stay_short():
    said = problem(taken(list[int], {"value": ["x" * 5000] * 50}))
    assert said.endswith("and 47 more")
    assert len(said) < 1300


def test_an_error_in_the_output_types_own_code_is_told_as_that():
    class Broken(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def look_up(cls, name: str) -> str:
            return {"a": "b"}[name]

    said = problem(taken(Broken, {"name": "x"}), FailureKind.BAD_REQUEST)
    assert "the output type raised KeyError at test_validation.py:" in said


def test_validators_say_what_is_wrong_in_words_or_by_raising():
    def too_cheap(item: Item) -> str | None:
        return f"price {item.price} is below 1" if item.price < 1 else None

    def too_dear(item: Item) -> None:
        if item.price > 100:
            raise ValueError("price is above 100")

    def judged(price: float) -> Reading:
        return obeys((too_cheap, too_dear), Usable(Item(name="x", price=price)))

    assert judged(5) == Usable(Item(name="x", price=5.0))
    assert problem(judged(0)) == "price 0.0 is below 1"
    assert problem(judged(101)) == "price is above 100"


def test_a_validator_that_breaks_is_told_as_that():
    def broken(value: Any) -> Any:
        return value.no_such_attribute

    def boolean(value: Any) -> Any:
        return value > 0

    said = problem(obeys((broken,), Usable(1)), FailureKind.BAD_REQUEST)
    assert "validator broken raised AttributeError at test_validation.py:" in said
    said = problem(obeys((boolean,), Usable(1)), FailureKind.BAD_REQUEST)
    assert said == "validator boolean returned True; it must return None or say what is wrong"
