"""The process that owns parked runs: `python -m benchmarks.parked_owner park|wake FILE NUMBER`.

`park` starts that many runs, which all park, and says what that took. `wake` opens the database again and wakes
that many of them, one after the other. Both print one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.workflows import EVENT, parked, podium
from podium import Podium, RunState

TOGETHER = 1_000
"""Runs that are started at once."""


@dataclass(frozen=True, slots=True)
class Parked:
    """What parking came to: the seconds that it took, and the process's memory after it in MB."""

    seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Woken:
    """What waking came to.

    `ready_at`: when everything was taken up, on the clock `time.monotonic` of the whole machine. `latencies`: the
    milliseconds from each wake to the end of its run. `megabytes`: the process's memory afterwards.
    """

    ready_at: float
    latencies: Sequence[float]
    megabytes: float


async def park(path: Path, runs: int) -> Parked:
    async with podium(path) as app:
        began = time.perf_counter()
        for first in range(0, runs, TOGETHER):
            numbers = range(first, min(first + TOGETHER, runs))
            await asyncio.gather(*(app.start(parked, number) for number in numbers))
        await app.idle()
        return Parked(time.perf_counter() - began, _megabytes())


async def wake(path: Path, number: int) -> Woken:
    async with podium(path) as app:
        await app.idle()
        ready_at = time.monotonic()
        runs = await app.list(states={RunState.WAITING}, limit=number)
        latencies = [await _wake_one(app, run.id) for run in runs]
        return Woken(ready_at, latencies, _megabytes())


async def _wake_one(app: Podium, run_id: str) -> float:
    run = await app.get(run_id)
    began = time.perf_counter()
    await run.send_event(EVENT)
    await run.result()
    return (time.perf_counter() - began) * 1000


def _megabytes() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        # Where the system does not tell what is resident now, the most that ever was, here in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Do what the command line asks for."""
    act, path, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    came_to: Parked | Woken
    came_to = asyncio.run(park(path, number)) if act == "park" else asyncio.run(wake(path, number))
    print(json.dumps(asdict(came_to)))


if __name__ == "__main__":
    main()
