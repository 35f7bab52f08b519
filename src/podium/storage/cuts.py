"""Where a long value is cut into parts: at places that its own bytes name, so that equal text is cut alike.

A text that has been added to, in front, in the middle or at the end, is cut as before wherever it is as before:
its parts are those that are kept already. Each byte is put into one of two classes, by a table without meaning,
and a part ends where the classes of the last bytes spell a certain word. That is one translation and one search,
both in C, at more than a hundred megabytes a second, and knows nothing of what the bytes say.
"""

from __future__ import annotations

import hashlib
from typing import Final

_CLASSES: Final = bytes(byte & 1 for byte in hashlib.shake_128(b"podium chunks 0").digest(256))
_WORD: Final = bytes.fromhex("010100000001000101")
_HALF_WORD: Final = _WORD[4:]
_SHORTEST: Final = 256
_LONGEST: Final = 4096


def cut(content: bytes) -> list[bytes]:
    """Return `content` in parts of 256 to 4096 bytes, about 1 KiB for most texts; the last may be shorter.

    Joined they are `content` again. Where a part ends depends on the bytes before its end, back to the end of
    the part before it, and on nothing else.
    """
    classes = content.translate(_CLASSES)
    parts: list[bytes] = []
    start, length = 0, len(content)
    while start < length:
        end = _end(classes, start)
        parts.append(content[start:end])
        start = end
    return parts


def _end(classes: bytes, start: int) -> int:
    first, last = start + _SHORTEST, start + _LONGEST
    found = classes.find(_WORD, first, last)
    if found >= 0:
        return found + len(_WORD)
    if len(classes) <= last:
        return len(classes)
    # Monotonous text may never spell the word: half of it is better than a place counted off.
    found = classes.rfind(_HALF_WORD, first, last)
    return last if found < 0 else found + len(_HALF_WORD)
