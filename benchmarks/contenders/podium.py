"""Podium: one `@workflow` of many `@step`s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.contenders.shape import Perform, main
from benchmarks.plain_sqlite import count_done
from benchmarks.workflows import in_sequence, podium


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Perform]:
    performed = 0
    async with podium(path) as app:

        async def perform(runs: int, steps: int) -> list[int]:
            nonlocal performed
            performed += runs * steps
            return await asyncio.gather(*(app.run(in_sequence, steps) for _ in range(runs)))

        yield perform
    # What was timed is what is on disk, seen from outside.
    assert count_done(path) == performed


if __name__ == "__main__":
    main(opened)
