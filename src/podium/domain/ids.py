"""Identifiers: how they are made and what they may look like."""

from __future__ import annotations

import hashlib
import os
import time
from typing import NewType

from podium.domain.errors import InvalidInput

RunId = NewType("RunId", str)
"""Names one run within a tenant: 1 to 200 printable characters, chosen by the caller or made by `new_run_id`."""

ReviewId = NewType("ReviewId", str)
"""Names one review. Derived from run and journal key, so that opening it twice is opening it once."""

MAX_RUN_ID = 200

MAX_TENANT = 100
"""The most characters that the name of a tenant may have."""


def new_run_id() -> RunId:
    """Return a fresh run id that sorts by creation time (48 bits of milliseconds, then 80 random bits)."""
    return RunId(f"{int(time.time() * 1000):012x}{os.urandom(10).hex()}")


def checked_run_id(text: object) -> RunId:
    """Return `text` as a run id; raises `InvalidInput` when it is empty, too long or holds control characters."""
    if not isinstance(text, str) or not text or len(text) > MAX_RUN_ID or not text.isprintable():
        raise InvalidInput(
            f"{_shown(text)} cannot be a run id: it must be 1 to {MAX_RUN_ID} printable characters. "
            "Choose another run_id, or leave it out to have one made."
        )
    return RunId(text)


def checked_tenant(name: object) -> str:
    """Return `name`; raises `InvalidInput` when a tenant cannot be called so."""
    if not (
        isinstance(name, str) and 1 <= len(name) <= MAX_TENANT and name.isprintable() and name == name.strip()
    ):
        raise InvalidInput(
            f"{_shown(name)} cannot name a tenant: it must be 1 to {MAX_TENANT} printable characters, with none blank at "
            "either end."
        )
    return name


def checked_event_name(name: str) -> str:
    """Return `name`; raises `InvalidInput` when an event cannot be called so."""
    if not 1 <= len(name) <= MAX_RUN_ID or not name.isprintable():
        raise InvalidInput(
            f"{name[:60]!a} cannot be an event's name: it must be 1 to {MAX_RUN_ID} printable characters."
        )
    return name


def child_run_id(parent: RunId, key: str) -> RunId:
    """Return the id of the child run that `parent` starts at journal key `key`; the same every time."""
    return RunId(f"{parent}/{digest(parent, key)[:12]}")


def review_id(run: RunId, key: str) -> ReviewId:
    """Return the id of the review that `run` opens at journal key `key`: 12 characters, named by how it begins."""
    return ReviewId(digest(run, key)[:12])


def repeated_key(key: str, times: int) -> str:
    """Return what names the next effect of the operation at `key`, after `times` effects that no longer count."""
    return f"{key}+{times}" if times else key


def operation_key(effect: str) -> str:
    """Return the journal key of the operation whose effect `repeated_key` named."""
    operation, mark, occurrence = effect.rpartition("#")
    return operation + mark + occurrence.partition("+")[0]


def digest(*parts: str | bytes) -> str:
    """Return 128 bits of BLAKE2b over the parts as 32 hexadecimal characters; boundaries count."""
    pieces: list[bytes] = []
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        pieces += (len(data).to_bytes(8, "big"), data)
    return hashlib.blake2b(b"".join(pieces), digest_size=16).hexdigest()


def _shown(name: object) -> str:
    return ascii(name[:60]) if isinstance(name, str) else f"a {type(name).__name__}"
