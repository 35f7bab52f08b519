"""Attributes: what a run is found by. A few short named values, set when it starts or by its own code."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from podium.domain.errors import InvalidInput

AttributeValue = str | int | float | bool
"""What an attribute may hold. Whole floats count as integers: 42.0 is kept, and found, as 42."""

Attributes = Mapping[str, AttributeValue]
"""The attributes of a run, by name."""

MAX_ATTRIBUTES = 64
"""How many attributes one run may have."""

MAX_ATTRIBUTE_TEXT = 500
"""How many characters the text of an attribute may have."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_MAX_INTEGER = 2**63
_EXACT = 2**53


def checked_attributes(given: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue | None]:
    """Return attributes as they can be stored; None, which removes one, stays.

    Raises `InvalidInput` naming the attribute whose name or value cannot be used, or when there are too many.
    """
    if len(given) > MAX_ATTRIBUTES:
        raise too_many(len(given))
    return {_checked_name(name): _checked_value(name, value) for name, value in given.items()}


def too_many(count: int) -> InvalidInput:
    """Return the error for a run that would have `count` attributes."""
    return InvalidInput(
        f"a run may have {MAX_ATTRIBUTES} attributes, not {count}: keep to those that runs are searched by, and "
        "remove others by setting them to None."
    )


def attribute_text(value: AttributeValue) -> str:
    """Return the text that a value is found by: numbers and truth values as in JSON, text as it is."""
    match value:
        case str():
            return value
        case float() if value.is_integer() and abs(value) < _EXACT:
            return str(int(value))
        case _:
            return json.dumps(value)


def attribute_number(value: AttributeValue) -> float | None:
    """Return the number that a value is compared by, 1 and 0 for truth values, None for text."""
    return None if isinstance(value, str) else float(value)


def attribute_of(text: str, number: float | None) -> AttributeValue:
    """Return the value that `attribute_text` and `attribute_number` stand for."""
    if number is None:
        return text
    value: AttributeValue = json.loads(text)
    return value


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"attribute {name[:80]!a}: a name begins with a letter and has up to 64 letters, digits, '_', '.' "
            "and '-'."
        )
    return name


def _checked_value(name: str, value: AttributeValue | None) -> AttributeValue | None:
    match value:
        case None | bool():
            return value
        case str() if len(value) > MAX_ATTRIBUTE_TEXT:
            raise InvalidInput(
                f"attribute {name!a} has {len(value):,} characters; {MAX_ATTRIBUTE_TEXT} are allowed. Keep long "
                "values in the run's input or results, and search by something short."
            )
        case str():
            # As a plain text: subclasses, such as members of a StrEnum, are equal to it.
            return str.__str__(value)
        case int() if abs(value) < _MAX_INTEGER:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case _:
            raise InvalidInput(
                f"attribute {name!a} cannot be {ascii(value)[:80]}: text, a finite number of up to 64 bits, true or "
                "false can be stored, and None removes it."
            )
