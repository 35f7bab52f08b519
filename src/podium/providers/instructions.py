"""The schema in words, for models that take it in no other form."""

from __future__ import annotations

import json

from podium.ports.models import Message, ModelRequest, Role

_ONLY_JSON = "Answer with one JSON value and nothing else. It must satisfy this JSON schema:"


def explained(request: ModelRequest) -> list[Message]:
    """Return the request's messages with its schema told in words, unless they tell of it already."""
    said = list(request.messages)
    if request.schema is None or request.schema_told:
        return said
    schema = json.dumps(request.schema, ensure_ascii=False, separators=(",", ":"))
    first = next((i for i, message in enumerate(said) if message.role is not Role.SYSTEM), len(said))
    said.insert(first, Message(Role.SYSTEM, f"{_ONLY_JSON}\n{schema}"))
    return said
