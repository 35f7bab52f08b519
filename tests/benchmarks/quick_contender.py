"""A contender that is quick because it stores nothing: stands for the peers where these are not installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.contenders.shape import Perform, main
from benchmarks.plain_sqlite import PAYLOAD


@asynccontextmanager
async def opened(_: Path) -> AsyncIterator[Perform]:
    async def perform(runs: int, steps: int) -> list[int]:
        return [steps * len(PAYLOAD)] * runs

    yield perform


if __name__ == "__main__":
    main(opened)
