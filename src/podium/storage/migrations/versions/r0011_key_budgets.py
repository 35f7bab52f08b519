"""Budgets of keys: any unit and any period, and spent as all other budgets are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# A month had been written as its longest: 31 days. No number of seconds stood for ever.
_CONVERT = """
UPDATE api_keys SET
    budget_unit = CASE WHEN budget_nanos IS NULL THEN 'tokens' ELSE 'money' END,
    budget_amount = COALESCE(budget_nanos, budget_tokens),
    budget_period = CASE
        WHEN budget_per = 2678400 THEN 'month'
        WHEN budget_per > 1e300 THEN 'forever'
        ELSE CAST(budget_per AS TEXT)
    END
WHERE budget_per IS NOT NULL
"""


def upgrade() -> None:
    """Write budgets with their unit and the name of their period; the table of allowances goes."""
    with op.batch_alter_table("api_keys", recreate="always") as keys:
        keys.add_column(sa.Column("budget_unit", sa.Text()), insert_after="concurrency")
        keys.add_column(sa.Column("budget_amount", sa.BigInteger()), insert_after="budget_unit")
        keys.add_column(sa.Column("budget_period", sa.Text()), insert_after="budget_amount")
    op.execute(_CONVERT)
    with op.batch_alter_table("api_keys", recreate="always") as keys:
        for column in ("budget_nanos", "budget_tokens", "budget_per"):
            keys.drop_column(column)
    op.drop_table("allowances")
    op.create_index("ix_budget_windows_ends_at", "budget_windows", ["ends_at"])
