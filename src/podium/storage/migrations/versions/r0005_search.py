"""Attributes, and indexes by which runs are found by workflow, parent, trigger and queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of attributes and the indexes."""
    op.create_index("ix_runs_workflow", "runs", ["tenant", "workflow", "state", "created_at", "id"])
    for origin in ("parent_run", "trigger", "queue"):
        given = sa.column(origin).is_not(None)
        op.create_index(
            f"ix_runs_{origin}",
            "runs",
            ["tenant", origin, "created_at", "id"],
            sqlite_where=given,
            postgresql_where=given,
        )
    op.create_table(
        "attributes",
        sa.Column("run_number", _row_number(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("number", sa.Double()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_number", "name", name="pk_attributes"),
        sqlite_with_rowid=False,
    )
    newest = ["created_at", "run_id"]
    op.create_index("ix_attributes_text", "attributes", ["tenant", "name", "text", *newest])
    op.create_index("ix_attributes_name", "attributes", ["tenant", "name", *newest, "number"])


def _row_number() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
