"""Power failures while the tables are made or brought up to date."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chaos.part import Outcome
from chaos.upgrades import interrupted, revisions


@pytest.mark.parametrize("revision", revisions())
async def test_a_power_failure_during_an_upgrade_leaves_a_database_that_opens(
    tmp_path: Path, revision: str | None
):
    outcome = Outcome()
    for number in range(3):
        assert await interrupted(tmp_path / str(number), revision, random.Random(number), outcome) == []
    assert outcome.tried.total() >= 1, "the power never failed"
