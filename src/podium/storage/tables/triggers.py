"""Triggers, and the events emitted to them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    LargeBinary,
    Table,
    Text,
)

from podium.storage.tables.base import RowNumber, metadata

triggers = Table(
    "triggers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("source", Text),
    Column("cron", Text),
    Column("timezone", Text),
    Column("every", Double),
    Column("mark", Double, nullable=False),
    Column("firing", Double),
    Column("last_at", Double),
    Column("last_run", Text),
    Column("next_at", Double),
    Column("paused", Boolean, nullable=False),
    Column("missed", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("error", LargeBinary),
    Column("error_at", Double),
)
"""Triggers that a process has taken up, and how far each has come."""

emitted = Table(
    "emitted",
    metadata,
    Column("id", RowNumber, Identity(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("trigger", Text),
    Column("payload", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    # Ids of runs are made of these ids, so the id of an event that is gone must never come again.
    sqlite_autoincrement=True,
)
"""Events for triggers that no process has taken yet; with `trigger`, for that one alone."""

emitted_keys = Table(
    "emitted_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("dedupe", Text, primary_key=True),
    Column("at", Double, nullable=False),
)
"""The keys of events that were emitted for triggers; they outlive the event."""
