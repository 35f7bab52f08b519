"""Which process owns the database."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Integer,
    Table,
    Text,
)

from podium.storage.tables.base import metadata

owner = Table(
    "owner",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("since", Double, nullable=False),
)
"""One row: the process that owns, or last owned, the database. Its epoch grows with each change of owner."""
