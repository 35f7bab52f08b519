"""Constrained decoding: the schema as a grammar, and probabilities among what the grammar allowed.

A model that is held to a schema writes much that it would never have written freely: a brace, a key, one of six
labels. Its probability of each such token among all tokens says little. What counts is the probability among the
tokens that were allowed: 1 for what was forced, and for a label how it stands against the other labels.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium.ports.models import TokenProbability
from podium.providers.grammar_bounds import bounded

# The one way of writing that is left to the model, so that no token goes into white space.
ITEM, KEY = ", ", ": "
_WRITING = {
    "whitespace_flexible": False,
    "item_separator": ITEM,
    "key_separator": KEY,
    # Keywords that it does not know are passed over: the whole schema would not be enforced otherwise.
    "lenient": True,
}

# Where the values are schemas by name, and where they are no schemas at all.
_NAMED = {"properties", "patternProperties", "$defs", "definitions"}
_LITERAL = {"enum", "const", "default", "examples"}
# Its patterns are regular in the strict sense.
_LOOKAROUND = ("(?=", "(?!", "(?<")

_MOST_HOPS = 100
_ANY: Mapping[str, Any] = {}
_DIGITS = tuple("-0123456789")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could have been next, with the logarithm of its probability among all tokens."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Step:
    """A generated token, and the likeliest ones at its place, likeliest first, whether allowed or not."""

    text: str
    logprob: float
    seen: Sequence[Candidate] = ()


@dataclass(frozen=True, slots=True)
class _Choice:
    """At `start` of the text one of `options` had to be written; nothing else was allowed until `end`."""

    start: int
    end: int
    options: tuple[str, ...]


def grammar_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` as the grammar takes it: objects closed, spacing fixed, what it cannot enforce left out.

    Raises `InvalidInput` for a schema whose grammar would be too large.
    """
    return {**_enforceable(bounded(schema)), "x-guidance": _WRITING}


def _enforceable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_enforceable(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    enforced = {key: _member(key, value) for key, value in schema.items()}
    if "properties" in enforced:
        # A small model would go on inventing properties.
        enforced.setdefault("additionalProperties", False)
    if any(group in str(enforced.get("pattern", "")) for group in _LOOKAROUND):
        del enforced["pattern"]
    return enforced


def _member(key: str, value: Any) -> Any:
    if key in _NAMED and isinstance(value, Mapping):
        return {name: _enforceable(each) for name, each in value.items()}
    return value if key in _LITERAL else _enforceable(value)


def conditioned(schema: Mapping[str, Any], steps: Sequence[Step]) -> tuple[TokenProbability, ...]:
    """Return each token with the logarithm of its probability among those that `schema` allowed.

    Inside free strings and numbers nearly everything is allowed, and the model's own probability stands.
    """
    text = "".join(step.text for step in steps)
    choices: list[_Choice] = []
    # A reply that was cut short, or a schema beyond this walk, ends it: what follows is taken as it is.
    with contextlib.suppress(LookupError, ValueError, TypeError, RecursionError):
        choices.extend(_Walk(schema, text).value(schema, 0))
    spoken: list[TokenProbability] = []
    at = 0
    for step in steps:
        spoken.append(TokenProbability(step.text, _among_allowed(step, at, text, choices)))
        at += len(step.text)
    return tuple(spoken)


def _among_allowed(step: Step, at: int, text: str, choices: Sequence[_Choice]) -> float:
    end = at + len(step.text)
    if at == end:
        # A part of a character, which no option consists of.
        return step.logprob
    reached = at
    for choice in choices:
        if choice.end <= reached or choice.start >= end:
            continue
        if choice.start > reached:
            # Something free comes first, and there the model's own probability stands.
            return step.logprob
        begun = text[choice.start : max(at, choice.start)]
        lead = text[at : choice.start]
        rest = [lead + option[len(begun) :] for option in choice.options if option.startswith(begun)]
        if len(rest) > 1:
            return _renormalised(step, rest)
        reached = choice.end
    # Forced from end to end.
    return 0.0 if reached >= end else step.logprob


def _renormalised(step: Step, allowed: Sequence[str]) -> float:
    """Return the logarithm of the step's share among the tokens that begin, or contain, one of `allowed`."""
    chosen = math.exp(step.logprob)
    total = chosen
    unseen = {option for option in allowed if not _fits(step.text, option)}
    for candidate in step.seen:
        if candidate.text == step.text or not candidate.text:
            continue
        matching = {option for option in allowed if _fits(candidate.text, option)}
        if matching:
            total += math.exp(candidate.logprob)
            unseen -= matching
    # Whatever was not among the likeliest can be no likelier than the last of them, or than the chosen one.
    least = min([step.logprob, *(candidate.logprob for candidate in step.seen)])
    total += len(unseen) * math.exp(least)
    return min(0.0, math.log(chosen / total)) if chosen > 0 else step.logprob


def _fits(token: str, option: str) -> bool:
    return option.startswith(token) or token.startswith(option)


class _Walk:
    """Goes along a text that a schema produced and finds the places where something had to be chosen."""

    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root = root
        self._text = text
        self._decoder = json.JSONDecoder()

    def value(self, schema: Mapping[str, Any], at: int) -> Iterator[_Choice]:
        """Yield the choices of the value at `at`, in order; raises when the text ends before the value does."""
        schema = self._resolved(schema)
        options = self._beginnings(schema)
        if options:
            yield _Choice(at, at + len(self._taken(options, at)), options)
        branch = self._branch(schema, at)
        if self._text[at] == "{" and "properties" in branch:
            yield from self._object(branch, at)
        elif self._text[at] == "[":
            yield from self._array(branch, at)

    def _object(self, schema: Mapping[str, Any], at: int) -> Iterator[_Choice]:
        required = set(schema.get("required", ()))
        names = list(schema["properties"])
        position = at + 1
        first = True
        while True:
            options = tuple(self._after(names, required, first=first))
            taken = self._taken(options, position)
            yield _Choice(position, position + len(taken), options)
            position += len(taken)
            if taken == "}":
                return
            name = json.loads(taken.removeprefix(ITEM).removesuffix(KEY))
            del names[: names.index(name) + 1]
            yield from self.value(schema["properties"][name], position)
            position = self._end(position)
            first = False

    def _after(self, names: Sequence[str], required: set[str], *, first: bool) -> Iterator[str]:
        """Yield what may follow within an object: a key up to the next required one, or the end."""
        for name in names:
            yield ("" if first else ITEM) + json.dumps(name, ensure_ascii=False) + KEY
            if name in required:
                return
        yield "}"

    def _array(self, schema: Mapping[str, Any], at: int) -> Iterator[_Choice]:
        items = schema.get("items", _ANY)
        position = at + 1
        if self._text[position] == "]":
            return
        while True:
            if isinstance(items, Mapping):
                yield from self.value(items, position)
            position = self._end(position)
            taken = ITEM if self._text.startswith(ITEM, position) else "]"
            yield _Choice(position, position + len(taken), (ITEM, "]"))
            position += len(taken)
            if taken == "]":
                return

    def _taken(self, options: Sequence[str], at: int) -> str:
        for option in options:
            if self._text.startswith(option, at):
                return option
        rest = self._text[at:]
        if not any(option.startswith(rest) for option in options):
            raise ValueError(at)
        # The text was cut short within a choice.
        return rest

    def _end(self, at: int) -> int:
        return self._decoder.raw_decode(self._text, at)[1]

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        hops = 0
        while "$ref" in schema:
            hops += 1
            if hops > _MOST_HOPS:
                raise LookupError(schema["$ref"])
            target: Any = self._root
            for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
                target = target[part] if part else target
            schema = target
        return schema

    def _branch(self, schema: Mapping[str, Any], at: int) -> Mapping[str, Any]:
        """Return the alternative that the text took."""
        for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            resolved = self._resolved(branch)
            if any(self._text.startswith(option, at) for option in self._beginnings(resolved)):
                return self._branch(resolved, at)
        return schema

    def _beginnings(self, schema: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what a value may begin with; whole values where there are only so many; () when unknown."""
        if "enum" in schema or "const" in schema:
            values = schema.get("enum") or [schema["const"]]
            return tuple(json.dumps(value, ensure_ascii=False) for value in values)
        branches = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
        if branches:
            each = [self._beginnings(self._resolved(branch)) for branch in branches]
            return tuple(dict.fromkeys(option for options in each for option in options)) if all(each) else ()
        kinds = schema.get("type", "object" if "properties" in schema else ())
        starts = [_STARTS.get(kind, ()) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
        return tuple(option for options in starts for option in options)


_STARTS: Mapping[str, tuple[str, ...]] = {
    "object": ("{",),
    "array": ("[",),
    "string": ('"',),
    "boolean": ("true", "false"),
    "null": ("null",),
    "number": _DIGITS,
    "integer": _DIGITS,
}
