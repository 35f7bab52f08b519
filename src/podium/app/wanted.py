"""What a review wants, in words: its JSON schema for people."""

from __future__ import annotations

from typing import Any

import orjson

_WORDS = {
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
    "array": "a JSON list",
}


def wanted(schema: bytes) -> str:
    """Return in words which value fits a JSON schema (UTF-8 JSON): `true or false`, `one of "a", "b"`, ..."""
    return _described(orjson.loads(schema))


def _described(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(orjson.dumps(each).decode() for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_described(each) for each in schema["anyOf"])
    if schema.get("type") == "object" and "properties" in schema:
        return f"a JSON object with {', '.join(schema['properties'])}"
    return _WORDS.get(str(schema.get("type")), "a JSON value")
