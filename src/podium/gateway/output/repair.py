"""The last rung: guess what broken JSON was meant to be, within bounds, and invent nothing."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from podium.gateway.output.allowance import Allowance
from podium.gateway.output.rungs import strict
from podium.gateway.output.structure import DEEPEST, structure
from podium.gateway.wording import as_json

LONGEST = 64 * 1024
"""Bytes of UTF-8 beyond which nothing is repaired: json_repair would not come to an end in time."""

_ESCAPES = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[bfnrt])?")
_NUMBER = re.compile(r"-?(?:\d[\d,_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_UNTOLD = re.compile(r"[^0-9A-Za-z]+")


_TOO_LONG = "it would take too long to repair"


class _Late(Exception):
    """The time is over."""


def repaired(text: str, allowance: Allowance | None = None) -> dict[str, Any]:
    """Return what the broken object `text` was most likely meant to be; raises `ValueError`.

    Nothing is guessed about a text that is cut off, nests deeply or is longer than `LONGEST`, nor for longer
    than the `allowance`: some short texts would keep json_repair busy for seconds. A guess that says what the
    text does not say is refused.
    """
    allowance = allowance or Allowance()
    if len(text.encode()) > LONGEST:
        raise ValueError("too long to be repaired")
    found = structure(text)
    if not found.closed or found.deepest > DEEPEST:
        raise ValueError("its brackets and quotes do not match")
    value = _guess(text, allowance)
    if not isinstance(value, dict):
        raise ValueError("it is not one JSON object")  # noqa: TRY004 - the text is wrong, not a caller's type
    if not _says_all(text, value, allowance):
        raise ValueError("it cannot be repaired without inventing something")
    # Back through the strict reader, so that whatever passes here is JSON and finite.
    result: dict[str, Any] = strict(as_json(value))
    return result


def _guess(text: str, allowance: Allowance) -> Any:
    began = time.thread_time()
    import json_repair

    allowance.forgive(time.thread_time() - began)
    try:
        with _alarm(allowance):
            return json_repair.loads(text, skip_json_loads=True)
    except (_Late, RecursionError):
        raise ValueError(_TOO_LONG) from None


@contextmanager
def _alarm(allowance: Allowance) -> Iterator[None]:
    # The library offers no way to stop it, and a thread cannot be stopped. A profile function is called at
    # every call that the library makes, and may raise: but only in the library's own frames, because what is
    # raised in a finalizer that happens to run meanwhile is lost, and the profile function with it.
    def check(frame: FrameType, event: str, arg: object) -> None:  # noqa: ARG001 - the interpreter's signature
        if allowance.is_used_up and frame.f_globals["__name__"].startswith("json_repair."):
            raise _Late

    before = sys.getprofile()
    sys.setprofile(check)
    try:
        yield
    finally:
        sys.setprofile(before)


def _says_all(text: str, value: Any, allowance: Allowance) -> bool:
    """Return whether every key and value of `value` can be read in `text`, spacing and escapes aside."""
    said = _UNTOLD.sub("", _ESCAPES.sub("", text))
    words = said.lower()
    numbers = {float(found.replace(",", "").replace("_", "")) for found in _NUMBER.findall(text)}
    for leaf in _leaves(value):
        if allowance.is_used_up:
            raise ValueError(_TOO_LONG)
        match leaf:
            case "":
                found = '""' in text or "''" in text
            case str():
                found = _UNTOLD.sub("", leaf) in said
            case bool():
                found = str(leaf).lower() in words
            case None:
                found = "null" in words or "none" in words
            case _:
                found = leaf in numbers
        if not found:
            return False
    return True


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
