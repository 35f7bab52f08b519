"""Text from outside, made fit to be stored and fit to be shown."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_LONE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


def well_formed(text: str) -> str:
    """Return `text` as UTF-8 can hold it: halves of a surrogate pair are joined, lone ones become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _LONE.sub("\ufffd", text).encode("utf-16", "surrogatepass").decode("utf-16")
    return text


def one_line(text: str, limit: int = 300) -> str:
    """Return `text` as one line of at most `limit` characters; control and invisible characters become spaces."""
    start = text[: 4 * limit]
    visible = "".join(" " if unicodedata.category(sign).startswith("C") else sign for sign in start)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def as_json(value: Any) -> str:
    """Return a plain JSON value as compact JSON text, non-ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
