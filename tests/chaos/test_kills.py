"""kill -9 on real processes, looked at from outside."""

from __future__ import annotations

import random
from pathlib import Path

from chaos.kills import storm
from chaos.lives import Database, empty_database
from chaos.part import Outcome


def test_a_storm_of_kills_breaks_no_promise(tmp_path: Path):
    database = Database(tmp_path / "database", random.Random(20261120), template=empty_database())
    outcome = Outcome()
    storm(database, 3, outcome)
    assert database.ledger.violations == []
    assert outcome.tried["kill -9"] >= 2
    assert database.ledger.begun.total() > 20
