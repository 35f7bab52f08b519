"""Replies held to a JSON schema that somebody else has written, as a client of the server: read, validated, said anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaError, SchemaValidator, core_schema

from podium.domain.answers import FailureKind
from podium.domain.errors import InvalidInput
from podium.domain.quality import Quality
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted
from podium.gateway.output.ladder import read_json
from podium.gateway.output.results import Unusable
from podium.gateway.wording import one_line
from podium.ports.models import FinishReason, ModelReply

if TYPE_CHECKING:
    from jsonschema import ValidationError

_LONGEST_PROBLEM = 400
_MOST_PROBLEMS = 3
_LONGEST_SCHEMA = 100_000
_SECONDS = 0.3
_AS_SAID = Quality()


class _TooMuch(Exception):
    """Validating takes longer than a server has for it."""


class SchemaJudge:
    """Judges replies by `schema`; texts of more than `longest` bytes are not looked into.

    What is no answer, as a refusal, a call of a tool or a reply that the client's own limit cut off, is handed on as it
    is. Whoever wrote the schema is a stranger: nothing is fetched for it, its patterns are matched in linear time (those
    that cannot be, with references or lookaround, are not enforced), and no reply is validated for longer than 0.3 s.
    Raises `InvalidInput` for what is no JSON schema, or too large a one.
    """

    def __init__(self, schema: Mapping[str, Any], longest: int) -> None:
        import jsonschema
        import jsonschema.validators
        import referencing
        import referencing.exceptions

        kind = jsonschema.Draft202012Validator
        self._longest = longest
        self._until = 0.0
        self._unresolvable = referencing.exceptions.Unresolvable
        try:
            text = json.dumps(schema)
            if len(text) > _LONGEST_SCHEMA or '"patternProperties"' in text:
                raise InvalidInput(
                    f"a schema may have {_LONGEST_SCHEMA} characters, and no patternProperties, to be used here"
                )
            kind.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise InvalidInput(
                f"this is no JSON schema: {one_line(error.message, _LONGEST_PROBLEM)}"
            ) from None
        except RecursionError:
            raise InvalidInput("this JSON schema is nested too deeply") from None
        bounded = {name: self._bounded(check) for name, check in kind.VALIDATORS.items()}
        bounded |= {"pattern": self._bounded(_pattern), "uniqueItems": self._bounded(_unique_items)}
        extended = jsonschema.validators.extend(kind, bounded)  # type: ignore[no-untyped-call]
        self._validator = extended(dict(schema), registry=referencing.Registry())

    def _bounded(self, check: Callable[..., Any]) -> Callable[..., Any]:
        def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
            if time.monotonic() > self._until:
                raise _TooMuch
            return check(validator, value, instance, schema)

        return checked

    def __call__(self, reply: ModelReply) -> Accepted | Fault:
        """Return the reply, its text as the JSON that was found in it, or what is wrong."""
        if reply.calls or reply.finish in {
            FinishReason.REFUSAL,
            FinishReason.CONTENT_FILTER,
            FinishReason.LENGTH,
        }:
            return Accepted(reply, _AS_SAID, None)
        found = read_json(reply.text, longest=self._longest)
        if isinstance(found, Unusable):
            return Fault.of(found.kind, found.problem)
        try:
            problems = self._problems(found.value)
        except self._unresolvable as error:
            return Fault.of(FailureKind.BAD_REQUEST, f"the schema refers to what it does not hold: {error}")
        except (RecursionError, _TooMuch):
            return Fault.of(FailureKind.BAD_REQUEST, "the schema takes too long to validate a reply by")
        if problems:
            return Fault.of(FailureKind.INVALID_SCHEMA, problems)
        return Accepted(replace(reply, text=_text(reply.text, found.value)), found.quality, None)

    def _problems(self, value: Any) -> str:
        said = []
        self._until = time.monotonic() + _SECONDS
        for error in self._validator.iter_errors(value):
            said.append(one_line(f"{error.json_path}: {error.message}", _LONGEST_PROBLEM))
            if len(said) == _MOST_PROBLEMS:
                break
        return "; ".join(said)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if not isinstance(instance, str):
        return
    try:
        matching = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return
    if not matching.isinstance_python(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _unique_items(_: Any, unique: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if unique and isinstance(instance, list):
        written = {json.dumps(each, sort_keys=True) for each in instance}
        if len(written) < len(instance):
            yield ValidationError("the items are not unique")


def _text(said: str, value: Any) -> str:
    """Return what was said where it is the value, so that numbers keep their form, else the value written anew."""
    try:
        json.loads(said)
    except ValueError:
        return json.dumps(value, ensure_ascii=False)
    return said
