"""Budgets of keys on disk: every unit and period, and those of databases that are older."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from podium.domain.budgets import Budget, Period
from podium.domain.keys import ApiKey, KeyLimits
from podium.domain.money import Money
from podium.storage import keys
from podium.storage.revision import alembic_config, upgrade

AN_OLD_KEY = """
INSERT INTO api_keys (tenant, name, prefix, digest, budget_nanos, budget_tokens, budget_per, models, created_at)
VALUES ('default', :name, 'sk', x'00', :nanos, :tokens, :per, '["*"]', 1.0)
"""


@pytest.mark.parametrize(
    "text",
    ["$5/day", "$1.234567891/h", "200k tokens/week", "60 requests/min", "$3/forever", "$20/month", "$1/90s"],
)
async def test_a_key_has_the_budget_that_it_was_given(storage, text):
    budget = Budget.parse(text)
    key = ApiKey("website", "sk-podium-abc", b"digest", KeyLimits(budget=budget), created_at=1.0)
    await storage.write(lambda conn: keys.add_key(conn, key))
    (found,) = await storage.read(keys.list_keys)
    assert found == key
    assert found.limits.budget == budget


def test_keys_of_an_older_database_keep_their_budgets(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as conn:
        command.upgrade(alembic_config(conn), "0010")
        for name, nanos, tokens, per in (
            ("none", None, None, None),
            ("daily", 5_000_000_000, None, 86_400.0),
            ("monthly", None, 1000, 31 * 86_400.0),
            ("forever", 1, None, float("inf")),
        ):
            conn.execute(text(AN_OLD_KEY), {"name": name, "nanos": nanos, "tokens": tokens, "per": per})
    with engine.begin() as conn:
        upgrade(conn)
        found = {key.name: key.limits.budget for key in keys.list_keys(conn)}
    engine.dispose()
    assert found == {
        "none": None,
        "daily": Budget(Money.usd("5"), 86_400),
        "monthly": Budget(1000, Period.MONTH),
        "forever": Budget(Money(1), Period.FOREVER),
    }
