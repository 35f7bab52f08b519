"""Archives of finished journals, and what finds runs by their age, their children, and values without a use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_HAS_ENDED = sa.text("finished_at IS NOT NULL")
_IS_CHILD = sa.text("parent_run IS NOT NULL")


def upgrade() -> None:
    """Create the tables and indexes."""
    op.create_index(
        "ix_runs_finished",
        "runs",
        ["workflow", "state", "finished_at"],
        sqlite_where=_HAS_ENDED,
        postgresql_where=_HAS_ENDED,
    )
    op.create_index(
        "ix_runs_parent", "runs", ["parent_run"], sqlite_where=_IS_CHILD, postgresql_where=_IS_CHILD
    )
    op.create_table(
        "kept_values",
        sa.Column("id", _row_number(), sa.Identity(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_kept_values"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "archives",
        sa.Column("run_number", _row_number(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_number", "generation", name="pk_archives"),
    )
    op.create_table(
        "archive_values",
        sa.Column("run_number", _row_number(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_number", "generation", "digest", name="pk_archive_values"),
    )


def _row_number() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
