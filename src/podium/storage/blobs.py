"""Long values, kept once each by content, beside the rows that refer to them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from podium.storage.present import insert_unless_present
from podium.storage.tables import blobs

if TYPE_CHECKING:
    from sqlalchemy import Connection


def digest_of(content: bytes) -> bytes:
    """Return the 32 bytes under which `content` is kept."""
    return hashlib.blake2b(content, digest_size=32).digest()


def keep(conn: Connection, tenant: str, content: bytes) -> bytes:
    """Store `content` unless the tenant has it already, and return its digest."""
    digest = digest_of(content)
    insert_unless_present(conn, blobs, {"tenant": tenant, "digest": digest, "content": content})
    return digest


def split(
    conn: Connection, tenant: str, data: bytes | None, threshold: int
) -> tuple[bytes | None, bytes | None]:
    """Return what to store of `data` as (value, digest): data longer than `threshold` bytes becomes a blob."""
    if data is None or len(data) <= threshold:
        return data, None
    return None, keep(conn, tenant, data)
