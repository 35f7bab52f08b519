"""Text as a database can hold it."""

from __future__ import annotations


def storable(text: str) -> str:
    """Return `text` with what UTF-8 or PostgreSQL cannot hold (lone surrogates, NUL) replaced by marks."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
