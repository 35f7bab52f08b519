"""The form that an answer must have: free text, or JSON of a declared type."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaError

from podium.domain.errors import InvalidDefinition
from podium.gateway.wording import as_json

T = TypeVar("T")

WRAP = "value"
"""The one property of the object that carries what is no object itself: vendors take only objects."""


@dataclass(frozen=True, slots=True)
class OutputForm(Generic[T]):
    """What is asked of the model. `schema` is the JSON schema of an object, or None for free text.

    `wrapped`: the value is no object and stands in the property `value` of one.
    """

    adapter: TypeAdapter[T]
    schema: Mapping[str, Any] | None
    wrapped: bool

    @classmethod
    def of(cls, annotation: Any, where: str) -> OutputForm[Any]:
        """Return the form of a type; raises `InvalidDefinition`, naming `where`, when JSON cannot express it."""
        try:
            if inspect.isroutine(annotation):
                raise TypeError("it is a function")
            adapter: TypeAdapter[Any] = TypeAdapter(annotation)
            if annotation is str:
                return OutputForm(adapter, None, wrapped=False)
            schema = adapter.json_schema(schema_generator=_Schema)
        except (PydanticUserError, SchemaError, NameError, TypeError) as error:
            raise InvalidDefinition(
                f"{where}: output={annotation!r} cannot be asked of a model ({error}). "
                "Use a pydantic model, a dataclass, an Enum, a Literal or plain JSON types."
            ) from error
        definitions = schema.pop("$defs", {})
        referred = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if referred in definitions:
            schema = dict(definitions[referred])
        wrapped = schema.get("type") != "object"
        if wrapped:
            schema = {"type": "object", "properties": {WRAP: schema}, "required": [WRAP]}
        if definitions:
            schema["$defs"] = definitions
        return OutputForm(adapter, schema, wrapped)

    @property
    def instruction(self) -> str | None:
        """What tells the model of the form, or None for free text."""
        if self.schema is None:
            return None
        return (
            "Answer with one JSON object and nothing else: no explanation, no code fence. "
            f"It must satisfy this JSON schema:\n{as_json(self.schema)}"
        )

    def written(self, value: T) -> str:
        """Return `value` as a model would have written it."""
        if self.schema is None:
            return str(value)
        text = self.adapter.dump_json(value, by_alias=True).decode()
        return f'{{"{WRAP}":{text}}}' if self.wrapped else text


class _Schema(GenerateJsonSchema):
    """JSON schema without the titles that repeat each property's name: they only cost tokens."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's signature
        """Return that no field gets one."""
        return False
