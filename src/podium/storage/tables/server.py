"""What the server needs: keys, and the log of requests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Identity, Index, Integer, LargeBinary, Table, Text

from podium.storage.tables.base import RowNumber, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("requests", Integer),
    Column("tokens", Integer),
    Column("concurrency", Integer),
    Column("budget_unit", Text),
    Column("budget_amount", BigInteger),
    Column("budget_period", Text),
    Column("models", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)
"""Keys; of a token only its digest."""

requests = Table(
    "requests",
    metadata,
    Column("number", RowNumber, Identity(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("route", Text, nullable=False),
    Column("key", Text),
    Column("model", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger),
    Column("latency", Double, nullable=False),
    Column("first_token", Double),
    Column("error", Text),
)
"""The log of requests, in the order in which they were written."""

Index("ix_requests_tenant", requests.c.tenant, requests.c.number)
Index("ix_requests_key", requests.c.tenant, requests.c.key, requests.c.number)
