"""What identifies a request: all that the model is told and asked for, and nothing of when or how fast."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from podium.domain.ids import digest
from podium.ports.models import Message, ModelRequest
from podium.providers.cassettes.masking import Masking

# Deadlines and listeners change from call to call; the schema's name is the prompt's, and changes no answer; how a
# model is brought to JSON is found out by trying.
_NOT_ASKED = {
    "limits",
    "schema_name",
    "schema_mode",
    "schema_told",
    "on_token",
    "on_delta",
    "on_counted",
    "cache_key",
}
_ALWAYS = {"messages", "max_tokens"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as plain JSON, masked, without what has its default; `digest` is 32 hexadecimal characters of it."""

    request: Mapping[str, Any]
    digest: str

    @classmethod
    def of(cls, request: ModelRequest, masking: Masking) -> Asked:
        """Return what `request` asks."""
        plain: dict[str, Any] = {}
        for field in dataclasses.fields(request):
            value = getattr(request, field.name)
            default = field.default if field.default_factory is MISSING else field.default_factory()
            if field.name not in _NOT_ASKED and (field.name in _ALWAYS or value != default):
                plain[field.name] = masking.value(to_jsonable_python(_slim(value)))
        return cls(plain, digest_of(plain))


def digest_of(request: Mapping[str, Any]) -> str:
    """Return the digest of a request as plain JSON; the order of keys does not matter."""
    return digest(json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def _slim(value: Any) -> Any:
    """Return `value` as containers of plain values, bytes by their digest: an image makes no readable line."""
    if isinstance(value, Message) and isinstance(value.content, str):
        return {"role": value.role, "text": value.content}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = (field.name for field in dataclasses.fields(value) if field.compare)
        return {name: _slim(getattr(value, name)) for name in plain}
    match value:
        case bytes():
            return f"digest:{digest(value)}"
        case Mapping():
            return {name: _slim(item) for name, item in value.items()}
        case list() | tuple():
            return [_slim(item) for item in value]
        case _:
            return value
