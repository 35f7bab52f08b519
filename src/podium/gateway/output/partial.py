"""What a reply that is still being written says so far."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from podium.gateway.output.form import WRAP, OutputForm
from podium.gateway.output.structure import nested_too_deeply


def so_far(form: OutputForm[Any], text: str, longest: int) -> Any:
    """Return what `text`, the beginning of a reply, holds of a value of the form: plain JSON types, not validated.

    Of JSON that is the value as far as it is written, strings cut where the text ends; None before it begins, where
    the text is no JSON, and beyond `longest` characters. Of free text it is the text.
    """
    if form.schema is None:
        return text
    start = text.find("{")
    if start < 0 or len(text) > longest or nested_too_deeply(text):
        return None
    try:
        value = from_json(text[start:], allow_partial="trailing-strings", allow_inf_nan=False)
    except ValueError:
        return None
    if not form.wrapped:
        return value
    return value.get(WRAP) if isinstance(value, dict) else None
