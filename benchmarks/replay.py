"""A long run comes back: its journal is read and its code replayed to where it stood.

Timed from the decision that lets it go on to its end, which adds some milliseconds to the replay itself.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Target, median, ratio
from benchmarks.plain_sqlite import PAYLOAD, read_rows, write_rows
from benchmarks.workflows import podium, then_a_person
from podium import DecisionVerdict

STEPS = 10_000
TARGET = Target(Bound.AT_MOST, 1)


def measure(bench: Bench) -> tuple[Figure, ...]:
    steps = bench.size(STEPS)
    database, plain_rows = bench.new_file(), bench.new_file()
    bench.say("recording")
    # One for each round and one to warm up: a run that has been rebuilt has ended.
    asyncio.run(_record(database, runs=bench.effort.rounds + 1, steps=steps))
    write_rows(plain_rows, steps, steps)

    def rebuild() -> float:
        return asyncio.run(_rebuild_one(database, steps))

    def read() -> float:
        return read_rows(plain_rows, steps)

    ours, plain = bench.take_turns(rebuild, read)
    return (
        median(f"Podium, {steps:,} recorded steps", "s", ours, bench.target(TARGET)),
        median(f"plain sqlite3, {steps:,} rows read and decoded", "s", plain),
        ratio("Podium / plain", ours, plain),
    )


async def _record(path: Path, *, runs: int, steps: int) -> None:
    async with podium(path) as app:
        for _ in range(runs):
            await app.start(then_a_person, steps)
        await app.idle()


async def _rebuild_one(path: Path, steps: int) -> float:
    async with podium(path) as app:
        (review,) = await app.reviews.list(limit=1)
        run = await app.get(review.run)
        began = time.perf_counter()
        await app.reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="benchmark")
        app.look()
        total = await run.result()
        seconds = time.perf_counter() - began
    assert total == steps * len(PAYLOAD)
    return seconds
