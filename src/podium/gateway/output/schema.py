"""Replies held to a JSON schema that somebody else has written, as a client of the server: read, validated, said anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from podium.domain.answers import FailureKind
from podium.domain.quality import Quality
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted
from podium.gateway.output.intake import sound
from podium.gateway.output.ladder import read_json
from podium.gateway.output.results import Unusable
from podium.gateway.wording import one_line
from podium.ports.models import FinishReason, ModelReply

if TYPE_CHECKING:
    from jsonschema import ValidationError

MOST_STEPS: Final = 50_000
"""Keywords that are applied to the parts of one reply, at most; with them it takes about 0.3 s of a thread."""

_LONGEST_PROBLEM = 400
_MOST_PROBLEMS = 3
_CHARACTERS_A_STEP = 1_000
_AS_SAID = Quality()


class _TooMuch(Exception):
    """Validating takes more steps than a server has for it."""


class SchemaJudge:
    """Judges replies by `schema`; texts of more than `longest` bytes are not looked into. One reply at a time.

    What is no answer, as a refusal, a call of a tool or a reply that the client's own limit cut off, is handed on as it
    is. Whoever wrote the schema is a stranger: nothing is fetched for it, its patterns are matched in linear time (those
    that cannot be, with references or lookaround, are not enforced), and a reply is validated in a bounded number of
    steps. Making one and judging by it both block. Raises `InvalidInput` for a schema that is not `sound`.
    """

    def __init__(self, schema: Mapping[str, Any], longest: int) -> None:
        import jsonschema
        import jsonschema.validators

        kind = jsonschema.Draft202012Validator
        self._longest = longest
        self._steps = 0
        checked = sound(schema)
        self._patterns = checked.patterns
        bounded = {name: self._bounded(check) for name, check in kind.VALIDATORS.items()}
        bounded |= {"pattern": self._bounded(self._pattern), "uniqueItems": self._bounded(_unique_items)}
        extended = jsonschema.validators.extend(kind, bounded)  # type: ignore[no-untyped-call]
        self._validator = extended(dict(checked.schema), registry=checked.registry)

    def _bounded(self, check: Callable[..., Any]) -> Callable[..., Any]:
        def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise _TooMuch
            return check(validator, value, instance, schema)

        return checked

    def _pattern(self, _: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        from jsonschema import ValidationError

        matching = self._patterns.get(pattern)
        if matching is None or not isinstance(instance, str):
            return
        # What is matched against counts too: a long text takes long.
        self._steps += len(instance) // _CHARACTERS_A_STEP
        if not matching.isinstance_python(instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

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
        except (RecursionError, _TooMuch):
            return Fault.of(FailureKind.BAD_REQUEST, "the schema takes too long to validate a reply by")
        if problems:
            return Fault.of(FailureKind.INVALID_SCHEMA, problems)
        return Accepted(replace(reply, text=_text(reply.text, found.value)), found.quality, None)

    def _problems(self, value: Any) -> str:
        said = []
        self._steps = 0
        for error in self._validator.iter_errors(value):
            said.append(one_line(f"{error.json_path}: {error.message}", _LONGEST_PROBLEM))
            if len(said) == _MOST_PROBLEMS:
                break
        return "; ".join(said)


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
