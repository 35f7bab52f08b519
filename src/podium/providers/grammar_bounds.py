"""How large a grammar a schema makes: known, and bounded, before the grammar is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from podium.domain.errors import InvalidInput
from podium.gateway.output.intake import sound

MOST_REPEATS: Final = 1_000
"""The largest least number of items, characters or properties that a grammar can hold a model to."""

LARGEST_GRAMMAR: Final = 100_000
"""Parts that a grammar may have, with everything that is repeated written out."""

_LEAST = ("minItems", "minLength", "minProperties", "minContains")
_MOST = ("maxItems", "maxLength", "maxProperties", "maxContains")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LITERAL = ("enum", "const", "default", "examples")


def bounded(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `schema` without the upper bounds that are too large for a grammar, which validation keeps.

    Raises `InvalidInput`, naming the place, for lower bounds that are too large, for patterns and references that become
    too large, and for what is no schema.
    """
    sound(schema, refused=())
    within: Mapping[str, Any] = _within(schema, "$", MOST_REPEATS)
    if _size(within) > LARGEST_GRAMMAR:
        within = _within(schema, "$", 0)
    size = _size(within)
    if size > LARGEST_GRAMMAR:
        raise InvalidInput(
            f"this schema asks for {size} parts at least, a grammar may have {LARGEST_GRAMMAR}: "
            "lower minItems and minLength of what is nested"
        )
    return within


def _within(schema: Any, where: str, most: int) -> Any:
    """Return `schema` without the upper bounds above `most`."""
    if isinstance(schema, list):
        return [_within(each, f"{where}[{place}]", most) for place, each in enumerate(schema)]
    if not isinstance(schema, Mapping):
        return schema
    for key in _LEAST:
        if _number(schema, key) > MOST_REPEATS:
            raise InvalidInput(
                f"{where}.{key}: a model can be held to {MOST_REPEATS} at least, not to {schema[key]}"
            )
    kept = {key: value for key, value in schema.items() if key not in _MOST or _number(schema, key) <= most}
    return {key: _member(key, value, f"{where}.{key}", most) for key, value in kept.items()}


def _member(key: str, value: Any, where: str, most: int) -> Any:
    if key in _NAMED and isinstance(value, Mapping):
        return {name: _within(each, f"{where}.{name}", most) for name, each in value.items()}
    return value if key in _LITERAL else _within(value, where, most)


def _size(schema: Any) -> int:
    if isinstance(schema, list):
        return sum(map(_size, schema))
    if not isinstance(schema, Mapping):
        return 0
    size = 1
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            size += sum(map(_size, value.values()))
        elif key == "items":
            size += max(_size(value), 1) * max(_times(schema, "Items"), 1)
        elif key not in _LITERAL:
            size += _size(value)
    if "items" not in schema:
        size += _times(schema, "Items")
    return size + _times(schema, "Length") + _times(schema, "Properties") + _times(schema, "Contains")


def _times(schema: Mapping[str, Any], what: str) -> int:
    return int(max(_number(schema, f"min{what}"), _number(schema, f"max{what}")))


def _number(schema: Mapping[str, Any], key: str) -> float:
    value = schema.get(key, 0)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
