"""How the gateway of the owning process stands with its providers."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, LargeBinary, Table, Text

from podium.storage.tables.base import metadata

gateway_status = Table(
    "gateway_status",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("status", LargeBinary, nullable=False),
)
"""One row: breakers, retry budgets and limits of the process that owns, or last owned, the database, as JSON."""

server_status = Table(
    "server_status",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("status", LargeBinary, nullable=False),
)
"""A row for each process that serves beside the owner, as JSON. It is taken away when the process ends."""
