"""What families of models can do: by which ways each can be brought to JSON, best first.

The vendors' libraries know of each single model whether its service takes a schema, and which inputs it reads; this
table says what is worth trying, and in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from podium.domain.media import Audio, Document, Image, Media
from podium.domain.schema_modes import SchemaMode


class Feature(StrEnum):
    """What a request may ask for and a server may be unable to give."""

    LOGPROBS = "logprobs"
    NATIVE = "native"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Family:
    """Models of one kind. `models` is a shell pattern for `provider:model`; `modes` are best first."""

    models: str
    modes: tuple[SchemaMode, ...]


_HOSTED = (SchemaMode.NATIVE, SchemaMode.TOOL, SchemaMode.PROMPTED)

FAMILIES: tuple[Family, ...] = (
    Family("openai:gpt-*", _HOSTED),
    Family("openai:chatgpt-*", _HOSTED),
    Family("openai:o[0-9]*", _HOSTED),
    Family("anthropic:claude-*", _HOSTED),
    Family("google:gemini-*", _HOSTED),
    Family("local:*", (SchemaMode.CONSTRAINED, SchemaMode.PROMPTED)),
    # Models of other makes: many servers take a forced tool and then ignore it.
    Family("*", (SchemaMode.NATIVE, SchemaMode.PROMPTED)),
)
"""The first whose pattern fits counts."""

# Which inputs the library's profile of a model speaks of, and what holds when it is silent.
_INPUTS: Mapping[type[Media], tuple[str, bool]] = {
    Image: ("supports_image_input", True),
    Audio: ("supports_audio_file_input", True),
    Document: ("supports_document_input", True),
}


def modes(provider: str, model: str, able: Iterable[Feature]) -> tuple[SchemaMode, ...]:
    """Return the ways of bringing a model to JSON, best first; `able` is what the model is known to give.

    Telling it in words is always among them.
    """
    name = f"{provider}:{model}"
    family = next(family for family in FAMILIES if fnmatchcase(name, family.models))
    given = {feature.value for feature in able} | {SchemaMode.CONSTRAINED.value, SchemaMode.PROMPTED.value}
    return tuple(mode for mode in family.modes if mode.value in given)


def known(profile: Mapping[str, Any]) -> frozenset[Feature]:
    """Return what the library's profile of a model says about schemas and tools."""
    found = {Feature.NATIVE} if profile.get("supports_json_schema_output") else set()
    forced = profile.get("supports_tools", True) and profile.get("supports_forced_tool_choice", True)
    return frozenset(found | ({Feature.TOOL} if forced else set()))


def unfit(vendor: str, schema: Mapping[str, Any], *, with_tools: bool) -> frozenset[Feature]:
    """Return the ways in which a vendor cannot be given this schema, in a request with tools or without."""
    if schema.get("type") != "object":
        # Vendors take only objects as the outermost value; any other schema is explained in words.
        return frozenset({Feature.NATIVE, Feature.TOOL})
    if vendor == "google" and with_tools:
        # Its models take a schema or tools, not both.
        return frozenset({Feature.NATIVE})
    if vendor == "anthropic" and _has_open_objects(schema):
        # It closes every object, which would leave those without named properties empty.
        return frozenset({Feature.NATIVE})
    return frozenset()


def _has_open_objects(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_open_objects, schema))
    if not isinstance(schema, Mapping):
        return False
    is_open = schema.get("type") == "object" and (
        schema.get("additionalProperties", False) is not False or "properties" not in schema
    )
    return is_open or any(map(_has_open_objects, schema.values()))


def reads(profile: Mapping[str, Any], media: Media) -> bool:
    """Return whether a model with this profile is known to read `media`, or not known not to."""
    name, otherwise = _INPUTS[type(media)]
    return bool(profile.get(name, otherwise))
