"""Queues: the indexes by which runs are admitted, and the limits that were declared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_QUEUED = "state = 'pending' AND queue IS NOT NULL"
_OPEN = "queue IS NOT NULL AND state IN ('blocked', 'paused', 'running', 'waiting')"


def upgrade() -> None:
    """Create the indexes and the table; pending runs of a queue leave the index of unfinished runs."""
    op.drop_index("ix_runs_unfinished", "runs")
    _index(
        "ix_runs_unfinished",
        ["created_at", "id"],
        f"state IN ('pending', 'running') AND NOT ({_QUEUED})",
    )
    by_priority: list[str | sa.TextClause] = ["queue", sa.text("priority DESC")]
    _index("ix_runs_queued_turns", [*by_priority, "tenant", "start_at"], _QUEUED)
    _index("ix_runs_queued_age", [*by_priority, "start_at"], _QUEUED)
    _index("ix_runs_debounced", ["debounce"], "state = 'pending' AND debounce IS NOT NULL")
    _index("ix_runs_queue_began", ["queue", "started_at"], "queue IS NOT NULL AND started_at IS NOT NULL")
    _index("ix_runs_queue_open", ["queue", "state"], _OPEN)
    _index("ix_runs_queue_ended", ["queue", "finished_at"], "queue IS NOT NULL AND finished_at IS NOT NULL")
    op.create_table(
        "queues",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("concurrency", sa.Integer()),
        sa.Column("rate_count", sa.Integer()),
        sa.Column("rate_per", sa.Double()),
        sa.Column("budget_nanos", sa.BigInteger()),
        sa.Column("budget_tokens", sa.BigInteger()),
        sa.Column("budget_per", sa.Double()),
        sa.Column("max_depth", sa.BigInteger()),
        sa.Column("fair", sa.Boolean(), nullable=False),
        sa.Column("counts_waiting", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_queues"),
    )


def _index(name: str, columns: list[str | sa.TextClause], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "runs", columns, sqlite_where=condition, postgresql_where=condition)
