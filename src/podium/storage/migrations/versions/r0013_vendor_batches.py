"""Batches at vendors: what was handed in, or was about to be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "vendor_batches",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("begun_at", sa.Double(), nullable=False),
        sa.Column("batch", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", "mark", name="pk_vendor_batches"),
    )
    op.create_index("ix_vendor_batches_place", "vendor_batches", ["place"])
