"""The journal, the long values beside it, and the archives that it is folded into."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Double,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from podium.storage.tables.base import RowNumber, metadata

journal = Table(
    "journal",
    metadata,
    Column("run_number", RowNumber, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("kind", Text),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("payload", LargeBinary),
    Column("payload_digest", LargeBinary),
    Column("started_at", Double, nullable=False),
    Column("at", Double, nullable=False),
)
"""Journal entries. `payload` or `payload_digest` is set, never both."""

blobs = Table(
    "blobs",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("form", Integer, nullable=False, server_default="0"),
)
"""The pieces of long values, each kept once within its tenant, by content; `podium.storage.blobs` says how."""

kept_values = Table(
    "kept_values",
    metadata,
    Column("id", RowNumber, Identity(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    # Whoever looks for values without a use remembers the last id that it saw.
    sqlite_autoincrement=True,
)
"""Long values that were referred to lately, in that order: what must not be removed, however unused it was before."""

archives = Table(
    "archives",
    metadata,
    Column("run_number", RowNumber, primary_key=True, autoincrement=False),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
)
"""Journals, or their beginnings, folded: what `podium.storage.folding` makes of one generation of a run."""

archive_values = Table(
    "archive_values",
    metadata,
    Column("run_number", RowNumber, primary_key=True, autoincrement=False),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", Text, nullable=False),
)
"""The long values that archives refer to."""
