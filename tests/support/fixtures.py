"""Fixtures shared by the tests of flow, engine and app."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "podium.db"
