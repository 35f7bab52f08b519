"""What every test may use: snapshots of text that is part of the product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes says more of the machine than of the code.
settings.register_profile("podium", deadline=None)
settings.load_profile("podium")

SNAPSHOTS = Path(__file__).parent / "snapshots"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="run only the tests that compare snapshots, and record what they see (make snapshot)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--update-snapshots"):
        items[:] = [item for item in items if "snapshot" in getattr(item, "fixturenames", ())]


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare text with the file of that name under tests/snapshots, or record it when asked to."""

    def compare(name: str, seen: str) -> None:
        path = SNAPSHOTS / name
        if request.config.getoption("--update-snapshots"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(seen)
        recorded = path.read_text() if path.exists() else ""
        assert seen.splitlines() == recorded.splitlines(), (
            f"{name} differs from tests/snapshots/{name}: if that is meant, run `make snapshot` and commit it"
        )

    return compare
