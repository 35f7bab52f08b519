"""Power failures at moments that have a name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chaos.lives import Database, Work, empty_database
from chaos.moments import MOMENTS, crash_at


@pytest.mark.parametrize("name", MOMENTS)
async def test_a_power_failure_at_a_named_moment_breaks_no_promise(tmp_path: Path, name: str):
    database = Database(tmp_path / "database", random.Random(name), template=empty_database())
    for life, at in enumerate((1, 3), 1):
        assert await crash_at(database, Work(4 * life), MOMENTS[name], at), "the moment did not come"
    await database.end(Work(8))
    assert database.ledger.violations == []
    assert database.ledger.started >= {f"order-{i}" for i in range(8)}
