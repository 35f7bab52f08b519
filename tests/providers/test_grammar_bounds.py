"""A schema is bounded before a grammar is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from podium.domain.errors import InvalidInput
from podium.providers.constrained import Step, conditioned, grammar_schema
from podium.providers.grammar_bounds import bounded


def array(least: int, items: Any) -> Any:
    return {"type": "array", "minItems": least, "items": items}


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "object", "properties": {"a": array(10**7, STRING)}}, "$.properties.a.minItems"),
        ({"type": "string", "minLength": 10**9}, "$.minLength"),
        ({"type": "object", "minProperties": 1e308}, "$.minProperties"),
        (array(900, array(900, STRING)), "parts at least"),
        ({"type": "string", "pattern": "^(a{900}){900}$"}, "$.pattern"),
        ({"type": "string", "pattern": "a{99999999999999}"}, "$.pattern"),
        ({"allOf": [{"$ref": "#"}]}, "without end"),
    ],
)
def test_what_would_make_too_large_a_grammar_is_refused_by_name(schema, place):
    with pytest.raises(InvalidInput) as raised:
        grammar_schema(schema)
    assert place in str(raised.value)


def test_upper_bounds_beyond_a_grammar_are_left_to_validation():
    schema = {"type": "array", "minItems": 2, "maxItems": 10**8, "items": {"type": "string", "maxLength": 80}}
    assert bounded(schema) == {"type": "array", "minItems": 2, "items": {"type": "string", "maxLength": 80}}


def test_upper_bounds_that_multiply_are_left_to_validation():
    schema = {"type": "array", "maxItems": 900, "items": {"type": "array", "maxItems": 900, "items": STRING}}
    assert bounded(schema) == {"type": "array", "items": {"type": "array", "items": STRING}}


def test_properties_called_like_bounds_are_no_bounds():
    schema = {"type": "object", "properties": {"minItems": {"type": "integer", "default": 10**7}}}
    assert bounded(schema) == schema


def test_a_schema_that_is_only_itself_ends():
    (token,) = conditioned({"$ref": "#"}, [Step("{", -1.0)])
    assert token.logprob == -1.0
