"""Examples import the modules beside them by their bare names, as `podium run` lets them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SUPPORT_DESK = Path(__file__).parents[2] / "examples" / "support_desk"

sys.path.insert(0, str(SUPPORT_DESK))


@pytest.fixture(scope="session")
def desk() -> Path:
    """The folder of the support desk."""
    return SUPPORT_DESK
