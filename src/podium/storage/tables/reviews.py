"""What people are asked, and what they decided."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from podium.storage.tables.base import metadata

reviews = Table(
    "reviews",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("proposal", LargeBinary),
    Column("proposal_digest", Text, nullable=False),
    Column("schema", LargeBinary, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("allowed", Text, nullable=False),
    Column("due", Double),
    Column("opened_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Index("uq_reviews_run_id_key", "run_id", "key", unique=True),
)
"""Reviews. `allowed` holds the verdicts separated by spaces; `due` is in seconds from opening.

`due_at` is infinite when nothing is due, so that such reviews come last on every database.
"""

Index(
    "ix_reviews_queue",
    reviews.c.tenant,
    reviews.c.queue,
    reviews.c.state,
    reviews.c.priority.desc(),
    reviews.c.due_at,
    reviews.c.opened_at,
    reviews.c.id,
)
Index(
    "ix_reviews_state",
    reviews.c.tenant,
    reviews.c.state,
    reviews.c.priority.desc(),
    reviews.c.due_at,
    reviews.c.opened_at,
    reviews.c.id,
)

decisions = Table(
    "decisions",
    metadata,
    Column("review_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("value", LargeBinary),
    Column("comment", Text, nullable=False),
    Column("decided_at", Double, nullable=False),
    Column("proposal_digest", Text, nullable=False),
)
"""What stands for each decided review: at most one row, the first that arrived."""
