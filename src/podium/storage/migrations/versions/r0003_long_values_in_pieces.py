"""Long values in pieces: what a row of `blobs` holds is told by its form; those of before are values as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the form of a piece, 0 for all that are there."""
    op.add_column("blobs", sa.Column("form", sa.Integer(), nullable=False, server_default="0"))
