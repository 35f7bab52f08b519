"""From a JSON value to a value of the declared type: strictly, with one leniency that cannot change a meaning."""

from __future__ import annotations

import copy
import json
import traceback
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from podium.domain.answers import FailureKind
from podium.domain.quality import Quality, Verdict
from podium.gateway.output.form import WRAP, OutputForm
from podium.gateway.output.results import Reading, Unusable, Usable
from podium.gateway.output.rungs import strict
from podium.gateway.wording import as_json, one_line

Validator = Callable[[Any], "str | None"]
"""A rule of the prompt's own: returns what is wrong with a value, or None, or raises `ValueError`."""

_MOST_PROBLEMS = 3
_LONGEST_PROBLEM = 400


def validated(form: OutputForm[Any], found: Usable) -> Reading:
    """Return `found` as a value of the form's type, or what is wrong, with path, problem and allowed values.

    Strict: `"12"` is no 12 and 1 no true. Only a number or boolean that came in quotes is taken out of them,
    which leaves its text as it is, and the quality says so.
    """
    value, quality = _unwrapped(form, found)
    try:
        result = _strictly(form, value)
        if isinstance(result, ValidationError):
            lenient = _unquoted(value, result)
            if lenient is not None:
                quality = quality.worsened(Verdict.DEGRADED, "numbers or booleans stood in quotes")
                result = _strictly(form, lenient)
    except Exception as error:  # noqa: BLE001 - whatever the validators of the user's own types raise
        return _broken("the output type", error)
    if isinstance(result, ValidationError):
        return Unusable(FailureKind.INVALID_SCHEMA, _problems(result))
    return Usable(result, quality)


def _strictly(form: OutputForm[Any], value: Any) -> Any:
    try:
        return form.adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return error


def obeys(validators: Sequence[Validator], found: Usable) -> Reading:
    """Return `found`, or what the first validator that objects has to say."""
    for validator in validators:
        name = getattr(validator, "__name__", repr(validator))
        try:
            objection: object = validator(found.value)
        except ValueError as error:
            objection = str(error) or f"{name} refused it"
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            return _broken(f"validator {name}", error)
        match objection:
            case None:
                continue
            case str():
                return Unusable(FailureKind.INVALID_SCHEMA, one_line(objection, _LONGEST_PROBLEM))
            case _:
                shown = one_line(repr(objection), 60)
                problem = f"validator {name} returned {shown}; it must return None or say what is wrong"
                return Unusable(FailureKind.BAD_REQUEST, problem)
    return found


def _broken(what: str, error: Exception) -> Unusable:
    # No other reply and no other model would help: the prompt's own code is at fault.
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{PurePath(last.filename).name}:{last.lineno}"
    return Unusable(FailureKind.BAD_REQUEST, f"{what} raised {type(error).__name__} at {place}: {error}")


def _unwrapped(form: OutputForm[Any], found: Usable) -> tuple[Any, Quality]:
    if not form.wrapped:
        return found.value, found.quality
    if isinstance(found.value, dict) and WRAP in found.value:
        return found.value[WRAP], found.quality
    return found.value, found.quality.worsened(
        Verdict.DEGRADED, "the value came without the object around it"
    )


def _unquoted(value: Any, error: ValidationError) -> Any:
    """Return `value` without the quotes around numbers and booleans to which `error` objects, None if none."""
    root = {"": copy.deepcopy(value)}
    changed = False
    for problem in error.errors(include_url=False, include_context=False):
        accepted = _PLAIN.get(problem["type"])
        text = problem["input"]
        if accepted is None or not isinstance(text, str):
            continue
        try:
            plain = strict(text)
        except ValueError:
            continue
        if type(plain) in accepted:
            changed = _put(root, ("", *problem["loc"]), plain) or changed
    return root[""] if changed else None


_PLAIN: dict[str, tuple[type, ...]] = {"int_type": (int,), "float_type": (int, float), "bool_type": (bool,)}


def _put(root: Any, path: tuple[int | str, ...], value: Any) -> bool:
    place = root
    try:
        for step in path[:-1]:
            place = place[step]
        if not isinstance(place[path[-1]], str):
            return False
        place[path[-1]] = value
    except (LookupError, TypeError):
        # Inside unions the path names alternatives too and cannot be followed.
        return False
    return True


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    said = [_problem(problem) for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        said.append(f"and {len(problems) - _MOST_PROBLEMS} more")
    return "; ".join(said)


def _problem(problem: Any) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"])
    path = "".join(steps).removeprefix(".") or "the answer"
    said = f"{path}: {problem['msg']}"
    if problem["type"] != "missing":
        said += f", not {_shown(problem['input'])}"
    return one_line(said, _LONGEST_PROBLEM)


def _shown(value: Any) -> str:
    try:
        return one_line(as_json(value), 60)
    except (TypeError, ValueError):
        return one_line(repr(value), 60)
