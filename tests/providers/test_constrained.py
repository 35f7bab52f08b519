"""Probabilities among what a schema allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from podium.providers.constrained import Candidate, Step, conditioned, grammar_schema
from tests.providers.asking import SCHEMA

INTENT = {
    "type": "object",
    "properties": {"intent": {"enum": ["refund", "bug", "billing"]}},
    "required": ["intent"],
}


def step(text: str, probability: float = 0.001, **others: float) -> Step:
    """A token with its probability, and those of others at its place (an underscore stands for a quote)."""
    seen = {text: probability} | {name.replace("_", '"'): value for name, value in others.items()}
    ranked = sorted(seen.items(), key=lambda each: -each[1])
    return Step(text, math.log(probability), [Candidate(name, math.log(value)) for name, value in ranked])


def probabilities(schema: Mapping[str, Any], steps: Sequence[Step]) -> list[float]:
    return [round(math.exp(token.logprob), 3) for token in conditioned(schema, steps)]


def test_what_was_forced_is_certain_however_unlikely_it_was():
    steps = [step('{"'), step("int"), step("ent"), step('":'), step(' "'), step("bug"), step('"}')]
    assert probabilities(INTENT, steps)[:5] == [1, 1, 1, 1, 1]


def test_a_label_stands_against_the_other_labels_alone():
    label = step("bug", 0.02, hello=0.9, refund=0.01, bill=0.01)
    steps = [step('{"intent": "'), label, step('"}')]
    assert probabilities(INTENT, steps) == [1, 0.5, 1]


def test_the_rest_of_a_label_is_certain_once_nothing_else_is_left():
    label = step("b", 0.02, refund=0.02)
    steps = [step('{"intent": "'), label, step("ug", 0.003, illing=0.001), step('"}')]
    assert probabilities(INTENT, steps) == [1, 0.5, 0.75, 1]


def test_labels_that_were_not_seen_are_given_the_most_they_can_have():
    label = step("bug", 0.02, hello=0.9, world=0.01)
    # "refund" and "billing" may each be as likely as the last that was seen.
    assert probabilities(INTENT, [step('{"intent": "'), label, step('"}')])[1] == 0.5


def test_a_token_with_nothing_known_of_the_others_is_no_certainty():
    label = Step("bug", math.log(1e-6), ())
    assert probabilities(INTENT, [step('{"intent": "'), label, step('"}')])[1] == 0.333


def test_booleans_are_choices_too():
    steps = [step('{"intent": "bug"'), step(', "urgent": '), step("true", 0.03, false=0.01), step("}")]
    assert probabilities(SCHEMA, steps)[1:] == [1, 0.75, 1]


def test_within_a_free_text_the_models_own_probability_stands():
    schema = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
    steps = [step('{"note": "'), step("Hello", 0.3), step(" there", 0.2), step('"}', 0.1)]
    assert probabilities(schema, steps) == [1, 0.3, 0.2, 0.1]


def test_leaving_out_an_optional_property_is_a_choice():
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"const": 2}},
        "required": ["a"],
    }
    steps = [step('{"a": 1'), step("}", 0.03, **{", ": 0.01})]
    assert probabilities(schema, steps) == [1, 0.75]


def test_null_or_text_is_a_choice():
    schema = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert probabilities(schema, [step("null", 0.03, _=0.01)]) == [0.75]


def test_references_are_followed():
    schema = {
        "$defs": {"Intent": {"enum": ["bug", "refund"], "type": "string"}},
        "type": "array",
        "items": {"$ref": "#/$defs/Intent"},
    }
    steps = [step('["'), step("bug", 0.03, refund=0.01), step('"'), step("]", 0.04, **{",": 0.01})]
    assert probabilities(schema, steps)[1:] == [0.75, 1, 0.8]


def test_a_reply_that_was_cut_short_keeps_what_was_decided():
    steps = [step('{"intent": "'), step("b", 0.02, refund=0.02)]
    assert probabilities(INTENT, steps) == [1, 0.5]


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "nonsense"},
        {"$ref": "#/$defs/gone"},
        {"anyOf": [{"$ref": "#"}]},
        {"allOf": [{"minimum": 1}]},
    ],
)
def test_a_schema_beyond_this_leaves_the_models_own_probabilities(schema: dict[str, Any]):
    assert probabilities(schema, [step("1", 0.4), step("2", 0.3)]) == [0.4, 0.3]


def test_the_grammar_gets_closed_objects_and_one_way_of_writing():
    schema = grammar_schema(
        {
            "type": "object",
            "properties": {"pattern": {"type": "object", "properties": {"x": {"const": {"properties": 1}}}}},
        }
    )
    assert schema["additionalProperties"] is False
    assert schema["properties"]["pattern"]["additionalProperties"] is False
    assert schema["properties"]["pattern"]["properties"]["x"] == {"const": {"properties": 1}}
    assert schema["x-guidance"]["whitespace_flexible"] is False


def test_patterns_that_the_grammar_cannot_express_are_left_out():
    schema = grammar_schema({"anyOf": [{"type": "string", "pattern": "^(?!x)y$"}, {"pattern": "^a+$"}]})
    assert schema["anyOf"] == [{"type": "string"}, {"pattern": "^a+$"}]
