"""How the gateway of the owning process stands with its providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "gateway_status",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("status", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_gateway_status"),
    )
