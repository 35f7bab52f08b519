"""The first tables: runs and their journal, long values, reviews and decisions, the inbox, the owner."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _runs()
    _journal()
    _reviews()
    _inbox()
    op.create_table(
        "owner",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_owner"),
    )


def _row_number() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("number", _row_number(), sa.Identity(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("wake_at", sa.Double()),
        sa.Column("waiting_on", sa.Text()),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("parent_run", sa.Text()),
        sa.Column("parent_key", sa.Text()),
        sa.Column("input", sa.LargeBinary()),
        sa.Column("input_digest", sa.LargeBinary()),
        sa.Column("output", sa.LargeBinary()),
        sa.Column("output_digest", sa.LargeBinary()),
        sa.Column("error", sa.LargeBinary()),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("active_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_runs"),
        sa.UniqueConstraint("id", name="uq_runs_id"),
    )
    op.create_index("ix_runs_state", "runs", ["tenant", "state", "created_at", "id"])
    op.create_index("ix_runs_created", "runs", ["tenant", "created_at", "id"])
    unfinished = sa.text("state IN ('pending', 'running')")
    op.create_index(
        "ix_runs_unfinished",
        "runs",
        ["created_at", "id"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    wakes = sa.text("state = 'waiting' AND wake_at IS NOT NULL")
    op.create_index("ix_runs_wake", "runs", ["wake_at"], sqlite_where=wakes, postgresql_where=wakes)


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("run_number", _row_number(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary()),
        sa.Column("payload_digest", sa.LargeBinary()),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_number", "seq", name="pk_journal"),
    )
    op.create_table(
        "blobs",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", name="pk_blobs"),
    )


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposal", sa.LargeBinary()),
        sa.Column("proposal_digest", sa.Text(), nullable=False),
        sa.Column("schema", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("allowed", sa.Text(), nullable=False),
        sa.Column("due", sa.Double()),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
    )
    urgency: list[str | sa.TextClause] = [sa.text("priority DESC"), "due_at", "opened_at", "id"]
    op.create_index("ix_reviews_queue", "reviews", ["tenant", "queue", "state", *urgency])
    op.create_index("ix_reviews_state", "reviews", ["tenant", "state", *urgency])
    op.create_index("uq_reviews_run_id_key", "reviews", ["run_id", "key"], unique=True)
    op.create_table(
        "decisions",
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary()),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.Column("proposal_digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("review_id", name="pk_decisions"),
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", _row_number(), sa.Identity(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("since", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_run_id", "inbox", ["run_id"])
