"""What reaches runs from outside, and what they publish."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from podium.storage.tables.base import RowNumber, metadata

inbox = Table(
    "inbox",
    metadata,
    Column("id", RowNumber, Identity(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("run_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("at", Double, nullable=False),
    Column("since", Double),
    Column("name", Text, nullable=False),
    # Readers remember the last id they saw, so the id of a taken delivery must never come again.
    sqlite_autoincrement=True,
)
"""Deliveries that no run has taken into its journal yet."""

event_keys = Table(
    "event_keys",
    metadata,
    Column("run_number", RowNumber, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("dedupe", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
)
"""The keys of events that were accepted, by which the same event sent again is known; they outlive the event."""

chunks = Table(
    "chunks",
    metadata,
    Column("id", RowNumber, Identity(), primary_key=True),
    Column("run_number", RowNumber, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    Index("uq_chunks_place", "run_number", "key", "attempt", "offset", unique=True),
    Index("ix_chunks_run", "run_number", "id"),
    # Readers remember the last id they saw, so the id of a chunk must never come again.
    sqlite_autoincrement=True,
)
"""What runs publish while they work. `superseded` marks that an attempt's earlier chunks no longer count."""
