"""A line to each vendor's wire server in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.providers.asking import VENDORS, Line, line_to
from tests.providers.studio import Studio


@pytest_asyncio.fixture(params=VENDORS)
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    """A model of each vendor."""
    async with line_to(request.param) as line:
        yield line


@pytest_asyncio.fixture
async def openai() -> AsyncIterator[Line]:
    """A model behind the wire format of OpenAI."""
    async with line_to("openai") as line:
        yield line


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A folder without cassettes, as yet."""
    return Studio(tmp_path / "cassettes")
