"""The rungs of the ladder that read JSON exactly or all but exactly. Each takes a text and returns its value."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

_MOST_BACKSLASHES = 20_000
_CONTROL = re.compile("[\x00-\x1f]")
# The last backslash of an odd run, when it begins no escape. From the run's start, so that it takes linear time.
_STRAY_BACKSLASH = re.compile(r'(?<!\\)((?:\\\\)*)\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')


class TwiceGiven(ValueError):
    """An object gives the same key twice, so that which value counts would be a guess."""


def strict(text: str) -> Any:
    """Read JSON as RFC 8259 defines it; raises `ValueError`.

    A key with two different values is refused, and so is a number too large for a float.
    """
    return _decode(text, strict=True)


def raw_control_characters(text: str) -> Any:
    """Read JSON in which strings may hold line breaks and other control characters as they are."""
    if _CONTROL.search(text) is None:
        raise ValueError("it holds no control characters")
    return _decode(text, strict=False)


def invalid_backslashes(text: str) -> Any:
    r"""Read JSON in which strings may hold backslashes that escape nothing, such as `\(` or `\d`."""
    if text.count("\\") > _MOST_BACKSLASHES:
        raise ValueError("it has too many backslashes")
    return _decode(_STRAY_BACKSLASH.sub(r"\1\\\\", text), strict=False)


def _decode(text: str, *, strict: bool) -> Any:
    try:
        return json.loads(
            text, strict=strict, object_pairs_hook=_object, parse_float=_finite, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        for name, value in pairs:
            if made[name] != value:
                raise TwiceGiven(f"the key {name!r} is given twice with different values")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
