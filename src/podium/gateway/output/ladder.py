"""The ladder from a model's text to a JSON value: exact readings first, then ever more lenient ones.

Each rung past the first leaves its reason in the quality. The order of the rungs follows how often each is needed and
how far it can be trusted: an exact reading serves most replies, and a repaired one is the most often wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from podium.domain.answers import FailureKind
from podium.domain.quality import Quality, Verdict
from podium.gateway.output.fragments import fragments
from podium.gateway.output.members import by_members
from podium.gateway.output.repair import LONGEST, repaired
from podium.gateway.output.results import Reading, Unusable, Usable
from podium.gateway.output.rungs import TwiceGiven, invalid_backslashes, raw_control_characters, strict
from podium.gateway.output.structure import nested_too_deeply, structure
from podium.gateway.wording import one_line, well_formed

_CLEAN = Quality()
_RUNGS: tuple[tuple[Callable[[str], Any], Quality], ...] = (
    (strict, _CLEAN),
    (
        raw_control_characters,
        _CLEAN.worsened(Verdict.DEGRADED, "control characters stood raw in its strings"),
    ),
    (
        invalid_backslashes,
        _CLEAN.worsened(Verdict.DEGRADED, "backslashes that escaped nothing were kept as text"),
    ),
)
_REPAIRED = _CLEAN.worsened(Verdict.SUSPECT, "broken JSON was repaired by guessing")
_BY_MEMBERS = _CLEAN.worsened(
    Verdict.SUSPECT, "strings with quotes unescaped or missing were read up to the next key"
)
_GUESSES: tuple[tuple[Callable[[str], Any], Quality], ...] = (
    (by_members, _BY_MEMBERS),
    (repaired, _REPAIRED),
)
_CUT_AFTER_END = _CLEAN.worsened(Verdict.DEGRADED, "the model was stopped after its JSON was complete")

# Control characters that no text needs, and the remains of LaTeX commands (\frac, \beta, \times, \right) whose
# backslash was taken for an escape: strictly valid JSON, and not what the model meant.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\t(?=imes|ext[{a-z]|heta|frac|riangle)|\r(?=ight|ho\\b|angle|m{)"
)
_MOST_GUESSES = 2
_AFTER_JSON = " \t\r\n`.!"


def read_json(text: str, *, cut_off: bool = False, longest: int = 1_000_000) -> Reading:
    """Return the JSON value that `text` holds, with its quality, or why it holds none.

    `cut_off`: the model was stopped by its output limit. `longest`: bytes of UTF-8 beyond which the text is not
    looked into; long ones are read exactly or not at all. Never raises.
    """
    text = well_formed(text).strip().removeprefix("\ufeff").lstrip()
    if not text:
        return Unusable(FailureKind.TRUNCATED if cut_off else FailureKind.EMPTY, "the reply is empty")
    if len(text) > longest or len(text.encode()) > longest:
        return Unusable(FailureKind.INVALID_SYNTAX, f"the reply is longer than {longest} bytes")
    if nested_too_deeply(text):
        return Unusable(FailureKind.INVALID_SYNTAX, "the JSON is nested too deeply")
    reading = _read_cut_off(text) if cut_off else _read_whole(text)
    return _examined(reading) if isinstance(reading, Usable) else reading


def _read_cut_off(text: str) -> Reading:
    # Only what is complete all the same counts; a bare number may go on: 12 of 120.
    try:
        value = strict(text)
    except ValueError:
        value = None
    if isinstance(value, dict | list):
        return Usable(value, _CUT_AFTER_END)
    return Unusable(FailureKind.TRUNCATED, "the reply was cut off by the output limit")


def _read_whole(text: str) -> Reading:
    parts = list(fragments(text))
    rungs = _RUNGS if len(text) <= LONGEST else _RUNGS[:1]
    for read, quality in rungs:
        for part in parts:
            try:
                return Usable(read(part), quality)
            except TwiceGiven as error:
                return Unusable(FailureKind.INVALID_SYNTAX, str(error))
            except ValueError:
                continue
    if _is_cut_off(text):
        return Unusable(FailureKind.TRUNCATED, "the reply ends in the middle of its JSON")
    return _guessed(parts) or Unusable(FailureKind.INVALID_SYNTAX, _problem(parts))


def _guessed(parts: list[str]) -> Usable | None:
    objects = [part for part in parts if part.startswith("{") and len(part) <= LONGEST][:_MOST_GUESSES]
    for guess, quality in _GUESSES:
        for part in objects:
            try:
                return Usable(guess(part), quality)
            except ValueError:
                continue
    return None


def _is_cut_off(text: str) -> bool:
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return False
    # Quotes that were not escaped may leave the count of quotes odd: then a text that ends as JSON ends is
    # broken rather than cut off. Neither is ever repaired.
    found = structure(text[start:])
    looks_finished = text.rstrip(_AFTER_JSON).endswith(("}", "]"))
    return not looks_finished if found.in_string else found.open > 0


def _problem(parts: list[str]) -> str:
    candidates = [part for part in parts if part.startswith(("{", "["))]
    if not candidates:
        return "the reply holds no JSON object"
    try:
        strict(candidates[-1])
    except ValueError as error:
        return f"the JSON is not valid: {one_line(str(error), 120)}"
    return "the JSON is not valid"


def _examined(found: Usable) -> Reading:
    quality = found.quality
    suspect = False
    for text in _strings(found.value):
        if well_formed(text) is not text:
            return Unusable(FailureKind.INVALID_SYNTAX, "a string holds half of a surrogate pair")
        suspect = suspect or _SUSPECT.search(text) is not None
    if suspect:
        reason = "strings hold control characters, as when the backslash of a command such as \\frac is lost"
        quality = quality.worsened(Verdict.SUSPECT, reason)
    return Usable(found.value, quality)


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield key
                yield from _strings(item)
        case list():
            for item in value:
                yield from _strings(item)
        case _:
            return
