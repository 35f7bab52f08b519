"""JSON that a person gave, as text or as the name of a file that holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from podium.domain.errors import InvalidInput


def given_bytes(text: str) -> bytes:
    """Return what was given: `text` itself, or for `@FILE` what the file holds. Raises `InvalidInput`."""
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    path = Path(text[1:])
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error


def given_json(text: str, what: str) -> Any:
    """Return the value of the JSON that was given for `what`; raises `InvalidInput`."""
    data = given_bytes(text)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(
            f"{what} is not valid JSON: {error}. Text is given in double quotes within single ones: '\"like this\"'."
        ) from None
