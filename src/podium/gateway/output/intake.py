"""A JSON schema that a stranger wrote, looked over before anything is done with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

from podium.domain.errors import InvalidInput
from podium.gateway.output.patterns import pattern_size
from podium.gateway.wording import one_line

LONGEST_SCHEMA: Final = 100_000
"""Characters that a schema may have, written as JSON."""

MOST_VALUES: Final = 10_000
"""Objects, lists, strings and numbers that a schema may hold."""

MOST_APPLIED: Final = 1_000
"""Schemas that may apply to one and the same value, references and alternatives followed."""

_DEEPEST = 100
_LARGEST_PATTERNS = 20_000
_LONGEST_PROBLEM = 400
# Those that apply to the value itself, and those that apply to a part of it or to nothing.
_SAME: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
_PARTS: Final = (
    "properties",
    "items",
    "prefixItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$defs",
    "definitions",
)
_BY_NAME: Final = {"properties", "dependentSchemas", "$defs", "definitions"}

BEYOND_BOUNDS: Final = ("patternProperties", "$dynamicRef", "$recursiveRef", "$schema")
"""Keywords that nothing can be validated by in bounded time; a dialect has its own rules, which are not bounded."""


@dataclass(frozen=True, slots=True)
class SoundSchema:
    """A schema that can be validated by. `patterns` are those that are matched in linear time, compiled, by themselves.

    `registry` holds the schema, and nothing that would have to be fetched.
    """

    schema: Mapping[str, Any]
    patterns: Mapping[str, SchemaValidator]
    registry: Any


@dataclass(slots=True)
class _Found:
    """What a walk over a schema has found: each schema with its place, what it applies, and what it refers to."""

    refused: Sequence[str]
    patterns: dict[str, SchemaValidator] = field(default_factory=dict)
    size: int = 0
    # By the identity of a schema: those that apply to the same value.
    applied: dict[int, list[Any]] = field(default_factory=dict)
    references: list[tuple[str, Mapping[str, Any], Any]] = field(default_factory=list)


def sound(schema: Mapping[str, Any], refused: Sequence[str] = BEYOND_BOUNDS) -> SoundSchema:
    """Return `schema`, which may not use the keywords `refused`, as one that can be validated by, whatever the reply.

    Raises `InvalidInput`, naming the place, for what is no schema, refers to what it does not hold or to itself without
    end, or is too large.
    """
    import jsonschema
    import referencing.jsonschema

    _check_size(schema)
    # The outermost one says it by habit.
    schema = {key: value for key, value in schema.items() if key != "$schema"}
    kind, dialect = jsonschema.Draft202012Validator, referencing.jsonschema.DRAFT202012
    found = _Found(refused)
    root = dialect.create_resource(schema)
    try:
        registry = _crawled(root, schema, refused)
        _walk(schema, "$", registry.resolver_with_root(root), found)
        kind.check_schema(schema)
        # Grows while it is gone through: what is referred to may refer further.
        for where, referring, resolver in found.references:
            try:
                resolved = resolver.lookup(referring["$ref"])
            except Exception:  # noqa: BLE001 - the library raises whatever its lookup of a part comes upon
                raise InvalidInput(
                    f"{where}.$ref: it refers to what the schema does not hold: {_told(referring['$ref'])}"
                ) from None
            target = resolved.contents
            if not isinstance(target, Mapping | bool):
                raise InvalidInput(f"{where}.$ref: {_told(referring['$ref'])} is no schema")
            if isinstance(target, Mapping) and id(target) not in found.applied:
                kind.check_schema(target)
                _walk(target, f"{where}.$ref", resolved.resolver, found)
            found.applied[id(referring)].append(target)
    except jsonschema.SchemaError as error:
        place = error.json_path
        raise InvalidInput(
            f"this is no JSON schema: {place}: {one_line(error.message, _LONGEST_PROBLEM)}"
        ) from None
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        # Addresses that are none, at `$id` or an anchor.
        raise InvalidInput(
            f"$id or $anchor: this is no JSON schema: {one_line(str(error), _LONGEST_PROBLEM)}"
        ) from None
    except RecursionError:
        raise InvalidInput("this JSON schema is nested too deeply") from None
    _check_applied(schema, found)
    return SoundSchema(schema, found.patterns, registry)


class _Nowhere:
    """Resolves nothing: for a walk that only looks for what is wrong."""

    def in_subresource(self, _: object) -> _Nowhere:
        return self


def _crawled(root: Any, schema: Mapping[str, Any], refused: Sequence[str]) -> Any:
    """Return a registry with all addresses that are in `root`."""
    import jsonschema
    import referencing

    try:
        return referencing.Registry().with_resource(root.id() or "", root).crawl()
    except (ValueError, AttributeError, TypeError, LookupError):
        # It trips over members of a wrong type, and cannot say where they are.
        _walk(schema, "$", _Nowhere(), _Found(refused))
        jsonschema.Draft202012Validator.check_schema(schema)
        raise


def _told(value: object) -> str:
    return one_line(repr(value), 100)


def _check_size(schema: Mapping[str, Any]) -> None:
    left: list[tuple[Any, int]] = [(schema, 1)]
    values = 0
    while left:
        value, depth = left.pop()
        values += 1
        if depth > _DEEPEST:
            raise InvalidInput(f"this JSON schema is nested too deeply: {_DEEPEST} levels are allowed")
        if values + len(left) > MOST_VALUES:
            raise InvalidInput(f"a schema may hold {MOST_VALUES} values")
        if isinstance(value, Mapping | list):
            parts = value.values() if isinstance(value, Mapping) else value
            left.extend((part, depth + 1) for part in parts)
    if len(json.dumps(schema)) > LONGEST_SCHEMA:
        raise InvalidInput(f"a schema may have {LONGEST_SCHEMA} characters")


def _walk(schema: Any, where: str, resolver: Any, found: _Found) -> None:
    """Take note of every schema within `schema`, whose members may be of any type yet."""
    if not isinstance(schema, Mapping) or id(schema) in found.applied:
        return
    resolver = _checked(schema, where, resolver, found)
    applied = found.applied[id(schema)] = []
    if "$ref" in schema:
        found.references.append((where, schema, resolver))
    for key in (*_SAME, *_PARTS):
        for name, each in _schemas(schema, key):
            _walk(each, f"{where}.{key}{name}", resolver, found)
            if key in _SAME:
                applied.append(each)


def _checked(schema: Mapping[str, Any], where: str, resolver: Any, found: _Found) -> Any:
    """Return what resolves the references of `schema`, having looked at its own members."""
    from referencing.jsonschema import DRAFT202012

    for key in found.refused:
        if key in schema:
            raise InvalidInput(f"{where}.{key}: {key} cannot be used here")
    for key in ("$id", "$ref"):
        if not isinstance(schema.get(key, ""), str):
            raise InvalidInput(f"{where}.{key}: it must be a string")
    if "$id" in schema:
        resolver = resolver.in_subresource(DRAFT202012.create_resource(schema))
    _check_names(schema, where)
    if isinstance(schema.get("pattern"), str):
        _note_pattern(schema["pattern"], where, found)
    return resolver


def _schemas(schema: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    value = schema.get(key)
    if isinstance(value, list):
        yield from ((f"[{place}]", each) for place, each in enumerate(value))
    elif key in _BY_NAME and isinstance(value, Mapping):
        yield from ((f".{one_line(str(name), 40)}", each) for name, each in value.items())
    elif key not in _BY_NAME and value is not None:
        yield "", value


def _check_names(schema: Mapping[str, Any], where: str) -> None:
    """Raise `InvalidInput` for lists of names with anything else in them: to compare those takes quadratic time."""
    dependent = schema.get("dependentRequired")
    dependent = dependent if isinstance(dependent, Mapping) else {}
    lists = {"required": schema.get("required"), "type": schema.get("type")}
    lists |= {"dependentRequired." + name: each for name, each in dependent.items()}
    for key, value in lists.items():
        if isinstance(value, list) and not all(isinstance(each, str) for each in value):
            raise InvalidInput(f"{where}.{one_line(key, 60)}: it may hold only strings")


def _note_pattern(pattern: str, where: str, found: _Found) -> None:
    if pattern in found.patterns:
        return
    try:
        found.size += pattern_size(pattern)
    except InvalidInput as error:
        raise InvalidInput(f"{where}.pattern: {error}") from None
    if found.size > _LARGEST_PATTERNS:
        raise InvalidInput(
            f"{where}.pattern: all patterns may come to {_LARGEST_PATTERNS} characters, repetitions written out"
        )
    try:
        compiled = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            raise InvalidInput(f"{where}.pattern: {_told(pattern)} is no pattern: {error}") from None
        # With references or lookaround: it cannot be matched in linear time.
        return
    found.patterns[pattern] = compiled


def _check_applied(root: Mapping[str, Any], found: _Found) -> None:
    """Raise `InvalidInput` when a schema applies itself to the same value, or too many others."""
    counted: dict[int, int] = {}

    def count(schema: Any) -> int:
        known = counted.get(id(schema))
        if known is None and id(schema) in found.applied:
            counted[id(schema)] = 0
            known = counted[id(schema)] = 1 + sum(map(count, found.applied[id(schema)]))
            if known > MOST_APPLIED:
                raise InvalidInput(
                    f"$ref: with its references followed, more than {MOST_APPLIED} schemas apply to one value"
                )
        elif known == 0:
            raise InvalidInput("$ref: the schema refers to itself without end")
        return known or 1

    try:
        for schema in (root, *(each for _, each, _ in found.references)):
            count(schema)
    except RecursionError:
        raise InvalidInput("$ref: the schema's references are nested too deeply") from None
