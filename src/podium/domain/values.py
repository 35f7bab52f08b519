"""How values cross a step: stored as JSON, restored by their declared type, refused with the path of what does not fit."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import ipaddress
import json
import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import PurePath
from typing import Any

import pydantic
import pydantic_core

from podium.domain.errors import InvalidDefinition, NotSerialisable
from podium.domain.ids import digest
from podium.domain.media import Media

_LEAVES = (
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
    PurePath,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
)
# The standard library's encoder takes any text, such as file names that are no valid Unicode.
_encode = json.JSONEncoder(sort_keys=True).encode
_TOO_DEEP = "is nested too deeply, or contains itself"

MOST_LEVELS = 201
"""Levels of objects and lists that JSON can be read back from; what is nested deeper is refused when it is stored."""


class TypedCodec:
    """Stores values of one declared type as UTF-8 JSON and restores them.

    `annotation` is any type that pydantic understands; `inspect.Parameter.empty` or `Any` allows plain JSON
    types only. `where` says in errors whose value it is (`the result of step 'send'`), `root` what the path of
    an offending field begins with.
    """

    def __init__(self, annotation: Any, where: str, root: str = "value") -> None:
        self._annotation = annotation
        self._where = where
        self._root = root
        self._plain = annotation in (inspect.Parameter.empty, Any)

    @cached_property
    def adapter(self) -> pydantic.TypeAdapter[Any]:
        """The pydantic adapter of the declared type, made at first use because making it takes milliseconds.

        Raises `InvalidDefinition` for a type that has no JSON form.
        """
        try:
            return _adapter_of(Any if self._plain else self._annotation)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise InvalidDefinition(
                f"{self._where} is declared as {_type_name(self._annotation)}, which has no JSON form: {reason} "
                "Declare a pydantic model, a dataclass or a plain JSON type."
            ) from error

    def require_storable(self) -> None:
        """Raise `InvalidDefinition` unless values of the declared type can be stored at all."""
        _ = self.adapter

    def schema(self) -> bytes:
        """Return the JSON Schema of the declared type, by the names of its fields, as UTF-8 JSON."""
        return _schema_of(self.adapter)

    def encode(self, value: Any) -> bytes:
        """Return `value` as UTF-8 JSON; raises `NotSerialisable` with the path of the offending field."""
        try:
            return self._encode(value)
        except RecursionError:
            raise NotSerialisable(self._where, self._root, _TOO_DEEP) from None

    def decode(self, data: bytes) -> Any:
        """Return the value that `encode` stored; raises `ValueError` when it does not fit the declared type."""
        # Stored by the names of fields: aliases are for what comes from outside.
        return self._read(data, by_alias=False, by_name=True)

    # Kept, because both are called for every value, and the adapter's own methods first ask what has been kept here.
    @cached_property
    def _written(self) -> Callable[..., bytes]:
        return self.adapter.serializer.to_json

    @cached_property
    def _read(self) -> Callable[..., Any]:
        return self.adapter.validator.validate_json

    def _encode(self, value: Any) -> bytes:
        if self._plain:
            require_plain(value, self._root, self._where)
        try:
            data = self._dump(value)
        except (pydantic_core.PydanticSerializationError, ValueError):
            data = self._dump_coerced(value)
        if b"null" in data:
            # JSON has no NaN: pydantic writes null in its place, which would come back as another value.
            _refuse_nan(value, self._root, self._where)
        self._require_return(data)
        return data

    def _dump(self, value: Any) -> bytes:
        return self._written(value, warnings="error", by_alias=False, round_trip=True)

    def _dump_coerced(self, value: Any) -> bytes:
        try:
            return self._dump(self.adapter.validate_python(value, by_alias=True, by_name=True))
        except pydantic.ValidationError as error:
            raise self._misfit(error) from None
        except (pydantic_core.PydanticSerializationError, ValueError):
            path, culprit = _offender(value, self._root)
            raise NotSerialisable(
                self._where, path, f"is a {type(culprit).__qualname__}, which has no JSON form"
            ) from None

    def _require_return(self, data: bytes) -> None:
        try:
            self.decode(data)
        except pydantic.ValidationError as error:
            raise self._misfit(error) from None
        except Exception as error:
            problem = f"would not come back from its JSON form ({type(error).__name__}: {error})"
            raise NotSerialisable(self._where, self._root, problem) from error

    def _misfit(self, error: pydantic.ValidationError) -> NotSerialisable:
        first = error.errors(include_url=False, include_input=False)[0]
        if "recursion limit" in first["msg"]:
            return NotSerialisable(self._where, self._root, f"is nested more than {MOST_LEVELS} levels deep")
        path = self._root + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"])
        problem = f"does not fit the declared type {_type_name(self._annotation)} ({first['msg']})"
        return NotSerialisable(self._where, path, problem)


def fingerprint(arguments: Mapping[str, object], where: str) -> str:
    """Return a digest of call arguments that is the same in every process for equal arguments.

    Raises `NotSerialisable` with the path of an argument that has no stable JSON form.
    """
    stable = {}
    for name, value in arguments.items():
        try:
            stable[name] = _stable(value, name, where)
        except RecursionError:
            raise NotSerialisable(where, name, _TOO_DEEP) from None
    return digest(_encode(stable))[:16]


def require_plain(value: Any, path: str, where: str) -> None:
    """Raise `NotSerialisable` unless `value` consists of plain JSON types only."""
    if value is None or type(value) in (str, int, bool):
        return
    if isinstance(value, float):
        _refuse_nan(value, path, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            require_plain(item, f"{path}[{index}]", where)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise NotSerialisable(where, path, f"has the key {name!r}, which is not a string")
            require_plain(item, f"{path}.{name}", where)
    elif not isinstance(value, str | int) or isinstance(value, enum.Enum):
        kind = type(value).__qualname__
        raise NotSerialisable(where, path, f"is a {kind} and no type is declared that says how to restore it")


def _adapter_of(annotation: Any) -> pydantic.TypeAdapter[Any]:
    try:
        # By its text too: unions are equal whatever their order, which pydantic minds.
        return _made_once(annotation, repr(annotation))
    except TypeError:
        # Not hashable.
        return pydantic.TypeAdapter(annotation)


@lru_cache(maxsize=512)
def _made_once(annotation: Any, _: str) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(annotation)


@lru_cache(maxsize=512)
def _schema_of(adapter: pydantic.TypeAdapter[Any]) -> bytes:
    return pydantic_core.to_json(adapter.json_schema(by_alias=False))


def _stable(value: Any, path: str, where: str) -> Any:
    match value:
        case enum.Enum():
            return _stable(value.value, path, where)
        case None | str() | bool() | int() | float():
            return value
        case list() | tuple():
            return [_stable(item, f"{path}[{index}]", where) for index, item in enumerate(value)]
        case dict() if all(isinstance(name, str) for name in value):
            return {name: _stable(item, f"{path}.{name}", where) for name, item in value.items()}
        case dict():
            pairs = (
                (_stable(name, path, where), _stable(item, f"{path}.{name}", where))
                for name, item in value.items()
            )
            return sorted(pairs, key=repr)
        case set() | frozenset():
            # Sets have no order that lasts from one process to the next.
            return sorted((_stable(item, path, where) for item in value), key=repr)
        case bytes():
            return value.hex()
        case _ if isinstance(value, _LEAVES):
            return str(value)
        case Media():
            return [type(value).__name__, value.media_type, value.digest]
        case _ if isinstance(value, pydantic.BaseModel) or _is_dataclass(value):
            return {name: _stable(item, f"{path}.{name}", where) for name, item in _fields(value)}
        case _:
            return _stable_by_pydantic(value, path, where)


def _stable_by_pydantic(value: Any, path: str, where: str) -> Any:
    problem = f"is a {type(value).__qualname__}, which has no JSON form"
    if isinstance(value, type) or not hasattr(value, "__get_pydantic_core_schema__"):
        raise NotSerialisable(where, path, problem)
    try:
        return pydantic_core.to_jsonable_python(value)
    except (pydantic_core.PydanticSerializationError, ValueError):
        raise NotSerialisable(where, path, problem) from None


def _refuse_nan(value: Any, path: str, where: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotSerialisable(where, path, f"is {value}, which JSON cannot hold")
        return
    for child_path, child in _children(value, path):
        _refuse_nan(child, child_path, where)


def _offender(value: Any, path: str) -> tuple[str, Any]:
    for child_path, child in _children(value, path):
        try:
            pydantic_core.to_json(child)
        except (pydantic_core.PydanticSerializationError, ValueError):
            return _offender(child, child_path)
    return path, value


def _children(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    match value:
        case str() | bytes():
            return
        case list() | tuple() | set() | frozenset():
            for index, item in enumerate(value):
                yield f"{path}[{index}]", item
        case dict():
            for name, item in value.items():
                yield f"{path}.{name}", item
        case _ if isinstance(value, pydantic.BaseModel) or _is_dataclass(value):
            for name, item in _fields(value):
                yield f"{path}.{name}", item
        case _:
            return


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, pydantic.BaseModel):
        yield from value
    else:
        for spec in dataclasses.fields(value):
            yield spec.name, getattr(value, spec.name)


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _type_name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
