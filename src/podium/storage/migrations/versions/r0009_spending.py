"""Spending: budgets, answers kept for later, and prompt versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_WINDOW = ("tenant", "budget", "subject")


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "budget_windows",
        *(sa.Column(name, sa.Text(), nullable=False) for name in _WINDOW),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("is_money", sa.Boolean(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.Double()),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint(*_WINDOW, "window", name="pk_budget_windows"),
    )
    op.create_table(
        "budget_holds",
        *(sa.Column(name, sa.Text(), nullable=False) for name in _WINDOW),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*_WINDOW, "window", "holder", name="pk_budget_holds"),
    )
    op.create_table(
        "cached_answers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("answer_digest", sa.LargeBinary()),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_cached_answers"),
    )
    op.create_index("ix_cached_answers_expires_at", "cached_answers", ["expires_at"])
    op.create_index("ix_cached_answers_stored_at", "cached_answers", ["stored_at"])
    op.create_table(
        "prompt_versions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("system", sa.Text()),
        sa.Column("schema", sa.Text()),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("first_used", sa.Double(), nullable=False),
        sa.Column("last_used", sa.Double(), nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", "version", name="pk_prompt_versions"),
    )
