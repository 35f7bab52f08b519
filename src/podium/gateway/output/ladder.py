"""The ladder from a model's text to a JSON value: exact readings first, then ever more lenient ones.

Each rung past the first leaves its reason in the quality. The order of the rungs follows how often each is needed and
how far it can be trusted: an exact reading serves most replies, and a repaired one is the most often wrong.

However long and whatever the text, it takes no more than some tens of milliseconds: each step is bounded by counts and
sizes, and no further one is begun once the allowance of time is used up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from podium.domain.answers import FailureKind
from podium.domain.quality import Quality, Verdict
from podium.gateway.output.allowance import Allowance
from podium.gateway.output.fragments import fragments
from podium.gateway.output.members import by_members
from podium.gateway.output.repair import repaired
from podium.gateway.output.results import Reading, Unusable, Usable
from podium.gateway.output.rungs import TwiceGiven, invalid_backslashes, raw_control_characters, strict
from podium.gateway.output.structure import MOST_VALUES, holds_too_much, nested_too_deeply, structure
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
_LENIENT = 256 * 1024
"""Characters beyond which a text is read exactly or not at all."""

_CUT_AFTER_END = _CLEAN.worsened(Verdict.DEGRADED, "the model was stopped after its JSON was complete")

# Control characters that no text needs, and the remains of LaTeX commands (\frac, \beta, \times, \right) whose
# backslash was taken for an escape: strictly valid JSON, and not what the model meant.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\t(?=imes|ext[{a-z]|heta|frac|riangle)|\r(?=ight|ho\\b|angle|m{)"
)
# What such strings are written as: a control character, or an escape that may stand for one or for half a pair.
_MAY_BE_SUSPECT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|\t(?=[ihtfre])|\\(?:u00[0-7]|u[dD]|[bfrt])")
_MOST_GUESSES = 2
_AFTER_JSON = " \t\r\n`.!"


def read_json(text: str, *, cut_off: bool = False, longest: int = 1_000_000) -> Reading:
    """Return the JSON value that `text` holds, with its quality, or why it holds none.

    `cut_off`: the model was stopped by its output limit. `longest`: bytes of UTF-8 beyond which the text is not
    looked into; long ones are read exactly or not at all. Never raises.
    """
    if len(text) > longest:
        return _refused(f"the reply is longer than {longest} bytes", cut_off=cut_off)
    if len(text.encode(errors="surrogatepass")) > longest:
        return _refused(f"the reply is longer than {longest} bytes", cut_off=cut_off)
    text = well_formed(text).strip().removeprefix("\ufeff").lstrip()
    if not text:
        return Unusable(FailureKind.TRUNCATED if cut_off else FailureKind.EMPTY, "the reply is empty")
    if holds_too_much(text):
        return _refused(f"the JSON has more than {MOST_VALUES} values", cut_off=cut_off or _is_cut_off(text))
    if nested_too_deeply(text):
        return _refused("the JSON is nested too deeply", cut_off=cut_off)
    reading = _read_cut_off(text) if cut_off else _read_whole(text)
    return _examined(reading, text) if isinstance(reading, Usable) else reading


def _refused(problem: str, *, cut_off: bool) -> Unusable:
    if cut_off:
        return Unusable(FailureKind.TRUNCATED, f"the reply was cut off, and {problem}")
    return Unusable(FailureKind.INVALID_SYNTAX, problem)


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
    allowance = Allowance()
    parts = list(fragments(text))
    wrong: dict[str, str] = {}
    for read, quality in _RUNGS if len(text) <= _LENIENT else _RUNGS[:1]:
        for part in parts:
            if wrong and allowance.is_used_up:
                break
            try:
                return Usable(read(part), quality)
            except TwiceGiven as error:
                return Unusable(FailureKind.INVALID_SYNTAX, str(error))
            except ValueError as error:
                # What is wrong is best told by the strictest.
                wrong.setdefault(part, str(error))
    if _is_cut_off(text):
        return Unusable(FailureKind.TRUNCATED, "the reply ends in the middle of its JSON")
    return _guessed(parts, allowance) or Unusable(FailureKind.INVALID_SYNTAX, _problem(wrong))


def _guessed(parts: list[str], allowance: Allowance) -> Usable | None:
    objects = [part for part in parts if part.startswith("{") and len(part) <= _LENIENT][:_MOST_GUESSES]
    for guess, quality in ((by_members, _BY_MEMBERS), (partial(repaired, allowance=allowance), _REPAIRED)):
        for part in objects:
            if allowance.is_used_up:
                return None
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


def _problem(wrong: Mapping[str, str]) -> str:
    problems = [problem for part, problem in wrong.items() if part.startswith(("{", "["))]
    if not problems:
        return "the reply holds no JSON object"
    return f"the JSON is not valid: {one_line(problems[-1], 120)}"


def _examined(found: Usable, text: str) -> Reading:
    if _MAY_BE_SUSPECT.search(text) is None:
        return found
    # No text goes over a line break here, and none of what is looked for holds one.
    strings = "\n".join(_strings(found.value))
    if well_formed(strings) is not strings:
        return Unusable(FailureKind.INVALID_SYNTAX, "a string holds half of a surrogate pair")
    if _SUSPECT.search(strings) is None:
        return found
    reason = "strings hold control characters, as when the backslash of a command such as \\frac is lost"
    return Usable(found.value, found.quality.worsened(Verdict.SUSPECT, reason))


def _strings(value: Any) -> list[str]:
    strings, rest = [], [value]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            strings.append(each)
        elif isinstance(each, dict):
            strings.extend(each)
            rest.extend(each.values())
        elif isinstance(each, list):
            rest.extend(each)
    return strings
