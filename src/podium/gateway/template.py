"""Templates: text with `{name}` fields, checked when they are made and filled in exactly once."""

from __future__ import annotations

import functools
import keyword
import string
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from podium.domain.errors import InvalidDefinition, InvalidInput
from podium.domain.media import Media
from podium.gateway.wording import as_json, well_formed
from podium.ports.models import Text


@dataclass(frozen=True, slots=True)
class Field:
    """A place for a value: a variable, or a value inside it (`ticket.customer.name`)."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.path)

    def take(self, variables: Mapping[str, object]) -> object:
        """Return the value at the path; raises `LookupError` with the part of the path that is not there."""
        value: object = variables[self.path[0]]
        for index, name in enumerate(self.path[1:], 2):
            try:
                value = _member(value, name)
            except LookupError:
                raise LookupError(".".join(self.path[:index])) from None
        return value


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. `variables` are the names that a call must give, in order of appearance."""

    source: str
    parts: tuple[str | Field, ...]
    variables: tuple[str, ...]

    @classmethod
    def parse(cls, source: str, where: str) -> Template:
        """Return the template; raises `InvalidDefinition`, naming `where`, when it could never be filled in."""
        if not source.strip():
            raise InvalidDefinition(f"{where}: the template is empty. Say what the model is to do.")
        try:
            pieces = list(string.Formatter().parse(source))
        except ValueError as error:
            raise InvalidDefinition(
                f"{where}: the template cannot be read ({error}). Write literal braces as {{{{ and }}}}."
            ) from None
        parts: list[str | Field] = []
        for literal, field, spec, conversion in pieces:
            parts.append(literal)
            if field is not None:
                parts.append(_field(field, spec, conversion, where))
        variables = dict.fromkeys(part.path[0] for part in parts if isinstance(part, Field))
        return cls(source, tuple(parts), tuple(variables))

    @property
    def beginning(self) -> str:
        """The text before the first field, which is the same in every call."""
        return "".join(takewhile(lambda part: isinstance(part, str), self.parts))  # type: ignore[arg-type]

    @property
    def whole(self) -> tuple[str, ...]:
        """The variables that are always filled in as they are, and never by a value inside them."""
        inside = {part.path[0] for part in self.parts if isinstance(part, Field) and len(part.path) > 1}
        return tuple(name for name in self.variables if name not in inside)

    def check(self, variables: Mapping[str, object], where: str) -> None:
        """Raise `InvalidInput`, naming `where`, unless `variables` are those of the template, with every field."""
        missing = [name for name in self.variables if name not in variables]
        unexpected = [name for name in variables if name not in self.variables]
        if missing or unexpected:
            raise InvalidInput(
                f"{where} was called with the wrong variables: missing: {', '.join(missing) or 'none'}; "
                f"unexpected: {', '.join(unexpected) or 'none'}. "
                f"Its template takes: {', '.join(self.variables) or 'none'}."
            )
        for part in self.parts:
            if isinstance(part, Field):
                try:
                    part.take(variables)
                except LookupError as error:
                    raise InvalidInput(
                        f"{where}: the template asks for {{{part}}}, but what was given has no {error.args[0]}. "
                        "Only mapping keys, fields of models and dataclasses, and properties can be reached."
                    ) from None

    def render(self, variables: Mapping[str, object]) -> str:
        """Return the text with every field filled in. Values are inserted as they are and never read as template.

        Images, recordings and documents are described.
        """
        filled = self.fill(variables)
        if isinstance(filled, str):
            return filled
        return "".join(part.text if isinstance(part, Text) else part.description for part in filled)

    def fill(self, variables: Mapping[str, object]) -> str | tuple[Text | Media, ...]:
        """Return what `render` does, or parts where a value is an image, a recording or a document, or a list of them."""
        values = [part.take(variables) if isinstance(part, Field) else part for part in self.parts]
        if not any(_media_in(value) for value in values):
            return well_formed("".join(map(_text, values)))
        filled: list[Text | Media] = []
        text = ""
        for value in values:
            shown = _media_in(value)
            if not shown:
                text += _text(value)
                continue
            filled += [Text(well_formed(text)), *shown] if text else shown
            text = ""
        return (*filled, Text(well_formed(text))) if text else tuple(filled)


def _media_in(value: object) -> list[Media]:
    if isinstance(value, Media):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(each, Media) for each in value):
        return list(value)
    return []


def _field(source: str, spec: str | None, conversion: str | None, where: str) -> Field:
    path = tuple(source.split("."))
    if not source or source.isdigit():
        problem = "is positional: give it a name"
    elif any(not name.isidentifier() for name in path):
        problem = "is not a name: a field is {name} or {name.field}, and literal braces are written {{ and }}"
    elif any(name.startswith("_") for name in path):
        problem = "is private: only public names can be used"
    elif keyword.iskeyword(path[0]):
        problem = "is a keyword of Python and cannot be given in a call: choose another name"
    elif spec or conversion:
        problem = "has a conversion or format: format the value before the call"
    else:
        return Field(path)
    shown = source + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
    raise InvalidDefinition(f"{where}: the template's field {{{shown}}} {problem}.")


def _member(owner: object, name: str) -> object:
    if isinstance(owner, Mapping):
        return owner[name]
    if name not in _data_of(type(owner)):
        raise LookupError(name)
    return getattr(owner, name)


def _data_of(kind: type) -> set[str]:
    # Data that the type declares, and nothing else: the template reaches no method and no internals.
    declared = ("model_fields", "model_computed_fields", "__dataclass_fields__", "_fields")
    names = {name for attribute in declared for name in getattr(kind, attribute, ())}
    properties = (property, functools.cached_property)
    for base in kind.__mro__:
        if base is not BaseModel:
            names |= {name for name, value in vars(base).items() if isinstance(value, properties)}
    return names


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    try:
        plain = to_jsonable_python(value)
    except ValueError as error:
        raise InvalidInput(
            f"a {type(value).__name__} cannot be shown to a model as text ({error}). Images, recordings and documents "
            "inside it need fields of their own in the template, such as {claim.receipt}."
        ) from None
    return plain if isinstance(plain, str) else as_json(plain)
