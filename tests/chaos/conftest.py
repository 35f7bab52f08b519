from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from chaos.lives import empty_database


@pytest.fixture(scope="session", autouse=True)
def _template() -> None:
    """Made here, where no event loop runs yet."""
    empty_database()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The product logs each failure of a disk, of which there are many here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
