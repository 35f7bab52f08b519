"""Text from outside made fit to be shown: one line, short, without control characters and without keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LONGEST = 300
_SHORTEST_SECRET = 4


def one_line(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` as one line of at most 300 characters, with every one of `secrets` blotted out.

    Control, format and other invisible characters become spaces, since the text may end in a terminal.
    """
    for secret in secrets:
        # Nothing as short as this is a key, and blotting it out would only shred the text.
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[key]")
    visible = "".join(" " if unicodedata.category(sign).startswith("C") else sign for sign in text[:5000])
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
