"""Values that cross a step: they come back as they went, or are refused with the path of what does not fit."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pydantic
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st

from podium import InvalidDefinition, InvalidInput, NotSerialisable, workflow
from podium.domain.values import TypedCodec

T = TypeVar("T")
WHERE = "the result of step 'send'"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Item(pydantic.BaseModel):
    name: str
    price: decimal.Decimal = decimal.Decimal(0)
    tags: set[str] = pydantic.Field(default_factory=set)


class Order(pydantic.BaseModel):
    items: list[Item]
    placed: datetime.datetime
    note: str | None = None
    colour: Colour = Colour.RED

    @pydantic.computed_field
    def size(self) -> int:
        return len(self.items)


class Strict(Order):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Aliased(pydantic.BaseModel):
    street: str = pydantic.Field(alias="Strasse")
    town: str = pydantic.Field(validation_alias=pydantic.AliasChoices("Ort", "Stadt"))
    inner: Aliased | None = None


@dataclass
class Node:
    value: int
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Box(Generic[T]):
    content: T


class Point(NamedTuple):
    x: int
    y: int


class Settings(typing_extensions.TypedDict):
    depth: int
    name: typing_extensions.NotRequired[str]


NOON = datetime.datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=datetime.UTC)
LEAF = Aliased(Strasse="a", Ort="b")


def named(cases: Sequence[tuple[Any, ...]]) -> list[str]:
    """Names that are the same in every process, as a value's own text may not be."""
    return [f"{number} {type(case[1]).__name__}" for number, case in enumerate(cases, 1)]


ROUND_TRIPS: list[tuple[Any, Any]] = [
    (None, None),
    (bool, True),
    (int, -(10**30)),
    (float, 0.1),
    (float, -0.0),
    (str, "naïve \u2028 \x00 🎈"),
    (bytes, b"plain"),
    (list[int], []),
    (dict[str, list[int]], {"a": [1], "": []}),
    (dict[int, str], {1: "a"}),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[int], {3, 1, 2}),
    (frozenset[str], frozenset({"a"})),
    (int | None, None),
    (int | str, "5"),
    (int | str, 5),
    (Literal["a", 1], 1),
    (Colour, Colour.BLUE),
    (Level, Level.HIGH),
    (list[Colour | None], [Colour.RED, None]),
    (datetime.datetime, NOON),
    (datetime.date, NOON.date()),
    (datetime.timedelta, datetime.timedelta(days=-1, microseconds=3)),
    (uuid.UUID, uuid.UUID(int=7)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (Path, Path("a/b")),
    (Item, Item(name="x", price=decimal.Decimal("0.10"), tags={"b", "a"})),
    (Order, Order(items=[Item(name="x")], placed=NOON)),
    (Strict, Strict(items=[], placed=NOON, colour=Colour.BLUE)),
    (Aliased, Aliased(Strasse="x", Stadt="y", inner=LEAF)),
    (list[Order | Item], [Item(name="y"), Order(items=[], placed=NOON)]),
    (Node, Node(1, [Node(2), Node(3, [Node(4)])])),
    (Box[Item], Box(Item(name="z"))),
    (Box[list[Colour]], Box([Colour.RED])),
    (Point, Point(1, 2)),
    (Settings, {"depth": 1}),
    (Annotated[int, pydantic.Field(ge=0)], 3),
    (Any, {"a": [1, 2.5, None, True, {"b": "c"}]}),
]


@pytest.mark.parametrize(("annotation", "value"), ROUND_TRIPS, ids=named(ROUND_TRIPS))
def test_a_value_comes_back_equal_and_of_its_type(annotation, value):
    codec = TypedCodec(annotation, WHERE)
    again = codec.decode(codec.encode(value))
    assert again == value
    assert type(again) is type(value)
    if isinstance(value, float):
        assert math.copysign(1, again) == math.copysign(1, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None, max_examples=300)
@given(JSON)
def test_every_json_value_comes_back(value):
    for annotation in (Any, pydantic.JsonValue):
        codec = TypedCodec(annotation, WHERE)
        try:
            data = codec.encode(value)
        except NotSerialisable:
            # Text that is no valid Unicode has no UTF-8 form, and is refused.
            assert not is_unicode(value)
            continue
        assert same(codec.decode(data), value)


def same(one: Any, other: Any) -> bool:
    return one == other and repr(one) == repr(other)


def is_unicode(value: Any) -> bool:
    try:
        repr_of = str(value) if isinstance(value, str) else "".join(map(str, flat(value)))
        repr_of.encode()
    except UnicodeEncodeError:
        return False
    return True


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *(leaf for item in value.values() for leaf in flat(item))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


@settings(deadline=None)
@given(
    st.builds(
        Order,
        items=st.lists(
            st.builds(
                Item,
                name=st.text(alphabet="abcü", max_size=5),
                price=st.decimals(allow_nan=False, allow_infinity=False),
                tags=st.sets(st.sampled_from("abc")),
            )
        ),
        placed=st.datetimes(timezones=st.just(datetime.UTC)),
        note=st.none() | st.just("x"),
        colour=st.sampled_from(Colour),
    )
)
def test_every_model_comes_back(order):
    codec = TypedCodec(Order, WHERE)
    assert codec.decode(codec.encode(order)) == order


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED: list[tuple[Any, Any, str, str]] = [
    (Any, object(), "value", "is a object"),
    (Any, {"a": [1, {"b": object()}]}, "value.a[1].b", "is a object"),
    (Any, {"x": {"callback": lambda: 1}}, "value.x.callback", "is a function"),
    (Any, (1, 2), "value", "is a tuple and no type is declared"),
    (Any, [Item(name="x")], "value[0]", "is a Item and no type is declared"),
    (Any, [Colour.RED], "value[0]", "is a Colour and no type is declared"),
    (Any, [Level.LOW], "value[0]", "is a Level and no type is declared"),
    (Any, {1: "a"}, "value", "has the key 1, which is not a string"),
    (Any, [math.nan], "value[0]", "is nan, which JSON cannot hold"),
    (Any, {"a": math.inf}, "value.a", "is inf, which JSON cannot hold"),
    (Any, NOON, "value", "is a datetime and no type is declared"),
    (float, math.nan, "value", "is nan"),
    (list[float], [0.0, -math.inf], "value[1]", "is -inf"),
    (float | None, math.nan, "value", "is nan"),
    (Box[Any], Box({"a": math.nan}), "value.content.a", "is nan"),
    (dict, {"good": 1, "bad": {"lock": threading.Lock()}}, "value.bad.lock", "is a lock"),
    (dict[str, Any], {"bad": [object()]}, "value.bad[0]", "is a object"),
    (int, "five", "value", "does not fit the declared type int"),
    (list[int], [1, "x"], "value[1]", "does not fit the declared type list[int]"),
    (list[Item], [Item(name="x"), {"price": 1}], "value[1].name", "does not fit the declared type list"),
    (
        Order,
        {"items": [{"name": 1}], "placed": NOON},
        "value.items[0].name",
        "does not fit the declared type Order",
    ),
    (None, 5, "value", "does not fit the declared type None"),
    (Literal["a"], "b", "value", "does not fit"),
    (Any, "lone \udce9 surrogate", "value", "is a str"),
    (str, "lone \udce9 surrogate", "value", ""),
    (bytes, b"\xff\xfe", "value", ""),
    (Annotated[int, pydantic.Field(ge=0)], -1, "value", "does not fit the declared type"),
]


@pytest.mark.parametrize(("annotation", "value", "path", "problem"), REFUSED, ids=named(REFUSED))
def test_what_has_no_faithful_form_is_refused_with_its_path(annotation, value, path, problem):
    with pytest.raises(NotSerialisable) as caught:
        TypedCodec(annotation, WHERE).encode(value)
    assert caught.value.path == path
    message = str(caught.value)
    assert message.startswith(f"{WHERE} cannot be stored: {path} {problem}")
    assert message.endswith("and declare it in the annotation.")


@pytest.mark.parametrize("annotation", [Any, list, list[Any]])
@pytest.mark.parametrize("value", [circular(), nested(10_000)], ids=["circular", "deep"])
def test_what_never_ends_is_refused(annotation, value):
    with pytest.raises(NotSerialisable, match="the result of step 'send' cannot be stored: value"):
        TypedCodec(annotation, WHERE).encode(value)


def test_values_that_fit_after_all_are_taken_in_the_declared_type():
    assert TypedCodec(int, WHERE).encode("5") == b"5"
    assert TypedCodec(float, WHERE).encode(1) in (b"1", b"1.0")
    assert TypedCodec(list[int], WHERE).encode((1, 2)) == b"[1,2]"
    assert TypedCodec(Item, WHERE).encode({"name": "x"}) == TypedCodec(Item, WHERE).encode(Item(name="x"))


def test_a_value_that_would_not_come_back_is_refused_while_it_can_still_be_said_where():
    class Lossy(pydantic.BaseModel):
        shown: int
        hidden: int = pydantic.Field(exclude=True)

    with pytest.raises(
        NotSerialisable, match=r"value\.hidden does not fit the declared type .*Lossy \(Field required\)"
    ):
        TypedCodec(Lossy, WHERE).encode(Lossy(shown=1, hidden=2))


class Unknown:
    pass


@pytest.mark.parametrize(
    "annotation",
    [Unknown, list[Unknown], Box[Unknown], type(threading.Lock())],
    ids=["a class", "a list", "a field", "a lock"],
)
def test_a_type_without_a_json_form_is_refused_by_name(annotation):
    codec = TypedCodec(annotation, WHERE)
    with pytest.raises(InvalidDefinition, match=f"{WHERE} is declared as .*, which has no JSON form"):
        codec.require_storable()


def test_a_workflows_input_is_refused_with_the_name_of_the_argument():
    @workflow
    async def takes(order: Order, extra: Any = None, plain=None) -> None: ...

    order = Order(items=[], placed=NOON)
    assert takes.decode_input(takes.encode_input((order,), {"plain": {"a": 1}})) == {
        "order": order,
        "extra": None,
        "plain": {"a": 1},
    }
    cases: list[tuple[dict[str, Any], str]] = [
        ({"order": {"items": [{}]}}, "order.items[0].name"),
        ({"order": order, "extra": [object()]}, "extra[0]"),
        ({"order": order, "plain": {"x": math.nan}}, "plain.x"),
    ]
    for arguments, path in cases:
        with pytest.raises(NotSerialisable, match="the input of workflow 'takes' cannot be stored") as caught:
            takes.encode_input((), arguments)
        assert caught.value.path == path


def test_a_workflows_output_must_have_a_form_before_it_is_started():
    @workflow
    async def makes() -> Unknown:
        return Unknown()

    with pytest.raises(InvalidDefinition, match=r"the result of workflow 'makes' is declared as .*Unknown"):
        makes.encode_input((), {})


def test_input_that_a_person_wrote_is_read_by_name_alias_or_alone():
    @workflow
    async def takes(address: Aliased) -> None: ...

    stored = takes.encode_input((Aliased(Strasse="a", Ort="b"),), {})
    for written in [
        b'{"address": {"Strasse": "a", "Ort": "b"}}',
        b'{"Strasse": "a", "Stadt": "b"}',
        b'{"street": "a", "town": "b"}',
    ]:
        assert takes.parse_input(written) == stored
    with pytest.raises(InvalidInput, match=r"does not fit workflow 'takes': address.Ort: Field required"):
        takes.parse_input(b'{"street": "a"}')
    with pytest.raises(InvalidInput, match="the input is not valid JSON"):
        takes.parse_input(b"{")
