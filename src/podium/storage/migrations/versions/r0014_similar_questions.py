"""Questions beside the answers that are kept for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "similar_questions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("embeddings", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_similar_questions"),
    )
    op.create_index("ix_similar_questions_scope", "similar_questions", ["tenant", "scope", "stored_at"])
    op.create_index("ix_similar_questions_expires_at", "similar_questions", ["expires_at"])
    op.create_index("ix_similar_questions_stored_at", "similar_questions", ["stored_at"])
