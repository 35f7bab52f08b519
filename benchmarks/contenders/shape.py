"""The shape of every contender: it opens a database, warms up, and is timed on the same work as the others."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from benchmarks.plain_sqlite import PAYLOAD

WARM_UP_RUNS = 10
WARM_UP_STEPS = 10

Perform = Callable[[int, int], Awaitable[list[int]]]
"""Begins so many runs of so many steps at once, and returns what each returned: the characters of its steps."""

Opened = Callable[[Path], AbstractAsyncContextManager[Perform]]
"""Opens a contender on a database that does not exist yet."""


def main(opened: Opened) -> None:
    """Perform what the command line asks for and print the seconds that it took, as JSON."""
    path, runs, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(asyncio.run(_timed(opened, path, runs, steps))))


async def _timed(opened: Opened, path: Path, runs: int, steps: int) -> float:
    async with opened(path) as perform:
        await perform(WARM_UP_RUNS, WARM_UP_STEPS)
        began = time.perf_counter()
        totals = await perform(runs, steps)
        seconds = time.perf_counter() - began
    assert totals == [steps * len(PAYLOAD)] * runs
    return seconds
