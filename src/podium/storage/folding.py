"""The form of an archive: a journal's lines, compressed, exactly as they were.

An archive begins with one byte that says which form it has. Form 1 is a zlib stream of a JSON array with the short
fields of every line, a line break, and the payloads one after the other. Payloads are kept as bytes and not within the
JSON: what a step has returned comes back to the byte.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from podium.domain.errors import StorageUnavailable

_FORM: Final = b"\x01"
_LEVEL: Final = 6


class Line(NamedTuple):
    """A row of the journal, less what is the same for the whole run. `payload` or `payload_digest` is set."""

    seq: int
    type: str
    kind: str | None
    key: str
    name: str
    fingerprint: str
    attempt: int
    started_at: float
    at: float
    payload: bytes | None
    payload_digest: bytes | None


def fold(lines: Sequence[Line]) -> bytes:
    """Return `lines` as one archive."""
    short = [
        (
            *line[:9],
            None if line.payload is None else len(line.payload),
            None if line.payload_digest is None else line.payload_digest.hex(),
        )
        for line in lines
    ]
    payloads = b"".join(line.payload for line in lines if line.payload is not None)
    return _FORM + zlib.compress(orjson.dumps(short) + b"\n" + payloads, _LEVEL)


def unfold(content: bytes, owner: str) -> list[Line]:
    """Return the lines that `fold` was given.

    `owner` says whose archive it is in the `StorageUnavailable` that is raised when it is damaged, or of a form
    that this version does not know.
    """
    if content[:1] != _FORM:
        raise StorageUnavailable(
            f"The archive of {owner} has a form that this version of Podium does not know. Install a later one."
        )
    try:
        short, _, payloads = zlib.decompress(content[1:]).partition(b"\n")
        fields = orjson.loads(short)
    except (zlib.error, orjson.JSONDecodeError) as error:
        raise StorageUnavailable(
            f"The archive of {owner} is damaged ({error}). Restore a copy of the database."
        ) from error
    lines: list[Line] = []
    start = 0
    for *rest, size, digest in fields:
        payload = None if size is None else payloads[start : start + size]
        start += size or 0
        lines.append(Line._make((*rest, payload, None if digest is None else bytes.fromhex(digest))))
    return lines
