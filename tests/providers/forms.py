"""Types as programs declare them for answers, made up at random, each with values of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import GenericAlias
from typing import Any, Literal

from hypothesis import strategies as st
from pydantic import Field, create_model


class Colour(StrEnum):
    """A type that is declared once and may stand at several places."""

    RED = "red"
    GREEN = "dark green"
    UMLAUT = "überaus"


@dataclass(frozen=True)
class Declared:
    """A type, and one value of it in Python's own terms."""

    annotation: Any
    value: Any


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,8}[a-z]", fullmatch=True).filter(
    lambda name: not name.startswith(("model_", "schema", "json", "copy", "dict", "construct", "validate"))
)
PLAIN: st.SearchStrategy[Declared] = st.one_of(
    st.integers(-(2**53), 2**53).map(lambda value: Declared(int, value)),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: Declared(float, value)),
    st.booleans().map(lambda value: Declared(bool, value)),
    TEXTS.map(lambda value: Declared(str, value)),
    st.sampled_from(Colour).map(lambda value: Declared(Colour, value)),
    st.sampled_from(["a", "b", 'c "d"']).map(lambda value: Declared(Literal["a", "b", 'c "d"'], value)),
    st.dates(date(1990, 1, 1), date(2100, 1, 1)).map(lambda value: Declared(date, value)),
)


def around(inner: st.SearchStrategy[Declared]) -> st.SearchStrategy[Declared]:
    return st.one_of(
        inner.map(lambda each: Declared(GenericAlias(list, (each.annotation,)), [each.value, each.value])),
        inner.map(lambda each: Declared(GenericAlias(list, (each.annotation,)), [])),
        inner.map(lambda each: Declared(each.annotation | None, each.value)),
        inner.map(lambda each: Declared(each.annotation | None, None)),
        st.tuples(inner, NAMES).map(
            lambda both: Declared(GenericAlias(dict, (str, both[0].annotation)), {both[1]: both[0].value})
        ),
        models(inner),
    )


def models(inner: st.SearchStrategy[Declared]) -> st.SearchStrategy[Declared]:
    """Models of one to four fields, some with a description, some with a default."""
    field = st.tuples(inner, st.sampled_from(["", "What it says, in one word."]), st.booleans())
    return st.dictionaries(NAMES, field, min_size=1, max_size=4).map(_model)


def _model(fields: dict[str, tuple[Declared, str, bool]]) -> Declared:
    declared: dict[str, Any] = {
        name: (each.annotation, Field(each.value if has_default else ..., description=told or None))
        for name, (each, told, has_default) in fields.items()
    }
    made: Callable[..., Any] = create_model("Made", **declared)
    return Declared(made, made(**{name: each.value for name, (each, _, _) in fields.items()}))


DECLARED = st.recursive(PLAIN, around, max_leaves=6).filter(lambda each: each.annotation is not str)
