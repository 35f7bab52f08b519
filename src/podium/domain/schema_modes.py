"""The ways of bringing a model to answer with JSON of a schema."""

from __future__ import annotations

from enum import StrEnum


class SchemaMode(StrEnum):
    """How a model is brought to answer with JSON of a schema."""

    NATIVE = "native"
    """The provider takes the schema and enforces it, or says that it does."""

    TOOL = "tool"
    """The schema is offered as the arguments of a tool that must be called."""

    CONSTRAINED = "constrained"
    """A grammar made of the schema leaves the model no other token to choose."""

    PROMPTED = "prompted"
    """The schema is told in words."""
