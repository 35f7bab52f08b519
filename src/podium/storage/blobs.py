"""Long values, kept in pieces by content, beside the rows that refer to them.

A row refers to a long value by a digest of 20 bytes, which is the key of a piece in `blobs`. A piece has a form:

- PLAIN: bytes of the value as they are;
- DEFLATED: bytes of the value, compressed by zlib;
- NODE: digests of pieces, one after the other; joined in their order, these pieces are its bytes.

A value is cut into parts (`podium.storage.cuts`), the parts' digests into nodes, the nodes' digests into nodes
again, until one piece is left: the value's. Every cut is where the content says, so that a value like one that is
kept already, such as a conversation with one more turn, adds the parts that are new and the few nodes above them.

A piece is stored once for each tenant, in the transaction of the row that refers to it, and never changed. Where a
node is, all below it is too: whoever removes pieces removes the nodes above them first. Values that are older than
this are one plain piece, whose digest has 32 bytes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select

from podium.domain.errors import StorageUnavailable
from podium.storage.cuts import cut
from podium.storage.present import insert_absent
from podium.storage.tables import blobs, kept_values

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

Key = tuple[str, bytes]
"""The tenant and the digest of a piece, the value's own."""

DIGEST_SIZE: Final = 20
"""The bytes of a digest in a node."""

_MOST_KEYS: Final = 500
MOST_CHILDREN: Final = 24
"""How many pieces a node may have below it."""

# A node ends after a child whose digest begins with a byte below this: after 8 children in the mean.
_LAST_CHILD: Final = 32
_FEWEST_CHILDREN: Final = 2
# The fastest level: the higher ones gain little on parts this short.
_LEVEL: Final = 1


class Form(IntEnum):
    """How a piece holds its bytes. The numbers are stored."""

    PLAIN = 0
    DEFLATED = 1
    NODE = 2


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is to be kept under `digest`: a part of a value, or the digests of a node's `children`."""

    digest: bytes
    content: bytes
    children: Sequence[_Piece] = ()


_HELD = blobs.c.tenant == bindparam("tenant"), blobs.c.digest.in_(bindparam("digests", expanding=True))
_PRESENT = select(blobs.c.digest).where(*_HELD)
_PIECES = select(blobs.c.digest, blobs.c.form, blobs.c.content).where(*_HELD)


def keep(conn: Connection, tenant: str, content: bytes) -> bytes:
    """Store what the tenant does not have yet of `content`, and return the 20 bytes that it is read by."""
    root = _tree(content)
    # Told to whoever is about to remove what had no use until now.
    conn.execute(kept_values.insert(), {"tenant": tenant, "digest": root.digest})
    level = {root.digest: root}
    while level:
        present = {row.digest for row in _select(conn, _PRESENT, tenant, level)}
        absent = [piece for digest, piece in level.items() if digest not in present]
        insert_absent(conn, blobs, [_row(tenant, piece) for piece in absent])
        # What is below a piece that is there is there too.
        level = {child.digest: child for piece in absent for child in piece.children}
    return root.digest


def split(
    conn: Connection, tenant: str, data: bytes | None, threshold: int
) -> tuple[bytes | None, bytes | None]:
    """Return what to store of `data` as (value, digest): data longer than `threshold` bytes is kept in pieces."""
    if data is None or len(data) <= threshold:
        return data, None
    return None, keep(conn, tenant, data)


def children_of(tenant: str, node: bytes) -> list[Key]:
    """Return the keys of the pieces below a node of the tenant, in their order."""
    return [(tenant, node[at : at + DIGEST_SIZE]) for at in range(0, len(node), DIGEST_SIZE)]


class Contents:
    """Long values as read with `contents`, whole once they are asked for."""

    def __init__(self) -> None:
        self._parts: dict[Key, bytes] = {}
        self._nodes: dict[Key, Sequence[bytes]] = {}
        self._damaged: set[Key] = set()

    def value(self, tenant: str, digest: bytes, owner: str) -> bytes:
        """Return the value that `keep` stored; raises `StorageUnavailable` when a piece is missing or damaged.

        `owner` says in that error whose value it is (`entry 7 ('0:step#2') of run 'ticket-42'`).
        """
        return b"".join(self._parts_of(tenant, digest, owner))

    def read(self, conn: Connection, tenant: str, digests: Collection[bytes]) -> None:
        """Read these values, but for the pieces that have been read already."""
        while digests:
            below: dict[bytes, None] = {}
            for row in _select(conn, _PIECES, tenant, digests):
                below.update(dict.fromkeys(self._take((tenant, row.digest), row.form, row.content)))
            digests = [digest for digest in below if not self._has((tenant, digest))]

    def _has(self, key: Key) -> bool:
        return key in self._parts or key in self._nodes

    def _take(self, key: Key, form: int, content: bytes) -> Sequence[bytes]:
        """Add a piece, unless it is damaged; return the pieces below it."""
        try:
            content = zlib.decompress(content) if form == Form.DEFLATED else content
        except zlib.error:
            content = b""
        digest = key[1]
        if _digest(content, len(digest), is_node=form == Form.NODE) != digest:
            self._damaged.add(key)
            return ()
        if form != Form.NODE:
            self._parts[key] = content
            return ()
        step = DIGEST_SIZE
        children = self._nodes[key] = [content[at : at + step] for at in range(0, len(content), step)]
        return children

    def _parts_of(self, tenant: str, digest: bytes, owner: str) -> Iterator[bytes]:
        key = (tenant, digest)
        part = self._parts.get(key)
        if part is not None:
            yield part
        elif key in self._nodes:
            for child in self._nodes[key]:
                yield from self._parts_of(tenant, child, owner)
        else:
            what = "is damaged" if key in self._damaged else "is missing"
            raise StorageUnavailable(
                f"The database has lost {owner}: piece {digest.hex()} of it {what}. "
                "Restore a copy of the database."
            )


def contents(conn: Connection, keys: Iterable[Key]) -> Contents:
    """Return the values kept under `keys`, read a few hundred pieces to a query and each piece once."""
    of_tenant: dict[str, dict[bytes, None]] = defaultdict(dict)
    for tenant, digest in keys:
        of_tenant[tenant][digest] = None
    found = Contents()
    for tenant, digests in of_tenant.items():
        found.read(conn, tenant, digests)
    return found


def _tree(content: bytes) -> _Piece:
    """Return the piece that stands for `content`, with all below it."""
    level = [_Piece(_digest(part), part) for part in cut(content)] or [_Piece(_digest(b""), b"")]
    while len(level) > 1:
        level = [_node(children) for children in _grouped(level)]
    return level[0]


def _grouped(pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    """Return the pieces in groups of 2 to 24, 8 in the mean; the last may be of one."""
    start = 0
    for end, piece in enumerate(pieces, 1):
        size = end - start
        if (size >= _FEWEST_CHILDREN and piece.digest[0] < _LAST_CHILD) or size == MOST_CHILDREN:
            yield pieces[start:end]
            start = end
    if start < len(pieces):
        yield pieces[start:]


def _node(children: Sequence[_Piece]) -> _Piece:
    content = b"".join(child.digest for child in children)
    return _Piece(_digest(content, is_node=True), content, children)


def _digest(content: bytes, size: int = DIGEST_SIZE, *, is_node: bool = False) -> bytes:
    # A text that spells a node must not be taken for it.
    return hashlib.blake2b(content, digest_size=size, person=b"node" if is_node else b"").digest()


def _row(tenant: str, piece: _Piece) -> dict[str, Any]:
    form, content = Form.NODE if piece.children else Form.PLAIN, piece.content
    if form is Form.PLAIN and len(deflated := zlib.compress(content, _LEVEL)) < len(content):
        form, content = Form.DEFLATED, deflated
    return {"tenant": tenant, "digest": piece.digest, "form": int(form), "content": content}


def _select(
    conn: Connection, query: Select[Any], tenant: str, digests: Iterable[bytes]
) -> Iterator[Row[Any]]:
    wanted = list(digests)
    for start in range(0, len(wanted), _MOST_KEYS):
        yield from conn.execute(query, {"tenant": tenant, "digests": wanted[start : start + _MOST_KEYS]})
