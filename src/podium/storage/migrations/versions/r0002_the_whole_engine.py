"""Versions, generations, forks, queues and triggers of runs; named events and their keys; published chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("state IN ('pending', 'running')")
_WAKES = sa.text("state = 'waiting' AND wake_at IS NOT NULL")


def upgrade() -> None:
    """Add what is new to runs and inbox, and create the new tables."""
    _runs()
    _inbox()
    op.create_table(
        "event_keys",
        sa.Column("run_number", _row_number(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dedupe", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_number", "name", "dedupe", name="pk_event_keys"),
    )
    op.create_table(
        "chunks",
        sa.Column("id", _row_number(), sa.Identity(), nullable=False),
        sa.Column("run_number", _row_number(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chunks"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_chunks_place", "chunks", ["run_number", "key", "attempt", "offset"], unique=True)
    op.create_index("ix_chunks_run", "chunks", ["run_number", "id"])


def _runs() -> None:
    for index in ("ix_runs_state", "ix_runs_created", "ix_runs_unfinished", "ix_runs_wake"):
        op.drop_index(index, "runs")
    with op.batch_alter_table("runs", recreate="always") as runs:
        runs.add_column(sa.Column("version", sa.Text(), nullable=False, server_default=""))
        runs.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="0"))
        runs.add_column(sa.Column("forked_from_run", sa.Text()))
        runs.add_column(sa.Column("forked_from_key", sa.Text()))
        runs.add_column(sa.Column("trigger", sa.Text()))
        runs.add_column(sa.Column("queue", sa.Text()))
        runs.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
        runs.add_column(sa.Column("start_at", sa.Double()))
        runs.add_column(sa.Column("debounce", sa.Text()))
    # The defaults were for the rows that were there.
    with op.batch_alter_table("runs", recreate="always") as runs:
        runs.alter_column("version", server_default=None)
        runs.alter_column("generation", server_default=None)
        runs.alter_column("priority", server_default=None)
    op.create_index("ix_runs_state", "runs", ["tenant", "state", "created_at", "id"])
    op.create_index("ix_runs_created", "runs", ["tenant", "created_at", "id"])
    op.create_index(
        "ix_runs_unfinished",
        "runs",
        ["created_at", "id"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.create_index("ix_runs_wake", "runs", ["wake_at"], sqlite_where=_WAKES, postgresql_where=_WAKES)


def _inbox() -> None:
    made_as = {"sqlite_autoincrement": True}
    with op.batch_alter_table("inbox", recreate="always", table_kwargs=made_as) as inbox:
        inbox.add_column(sa.Column("name", sa.Text(), nullable=False, server_default=""))
    # The default was for the rows that were there.
    with op.batch_alter_table("inbox", recreate="always", table_kwargs=made_as) as inbox:
        inbox.alter_column("name", server_default=None)


def _row_number() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
