"""Many short runs at once: how many steps a second are made durable."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Target, median, ratio
from benchmarks.plain_sqlite import PAYLOAD, count_done, write_rows
from benchmarks.workflows import in_sequence, podium

RUNS = 500
STEPS = 10
SINGLE_ROWS = 1_000
"""Rows that get a commit each: enough for a rate, and few, because a slow disk takes seconds over them."""
GROUP = 256
TARGET = Target(Bound.AT_LEAST, 8_000)


def measure(bench: Bench) -> tuple[Figure, ...]:
    runs = bench.size(RUNS)
    rows = runs * STEPS

    def steps_a_second() -> float:
        return rows / asyncio.run(_run(bench, runs))

    def rows_a_second(rows: int, per_commit: int) -> float:
        return rows / write_rows(bench.new_file(), rows, per_commit)

    steps, single, grouped = bench.take_turns(
        steps_a_second,
        partial(rows_a_second, bench.size(SINGLE_ROWS), 1),
        partial(rows_a_second, rows, GROUP),
    )
    return (
        median(f"Podium, {runs} runs x {STEPS} steps", "steps/s", steps, TARGET if bench.is_full else None),
        median("plain sqlite3, 1 row per commit", "rows/s", single),
        median(f"plain sqlite3, {GROUP} rows per commit", "rows/s", grouped),
        ratio("Podium / plain, 1 row", steps, single),
        ratio(f"Podium / plain, {GROUP} rows", steps, grouped),
    )


async def _run(bench: Bench, runs: int) -> float:
    path = bench.new_file()
    async with podium(path) as app:
        began = time.perf_counter()
        totals = await asyncio.gather(*(app.run(in_sequence, STEPS) for _ in range(runs)))
        seconds = time.perf_counter() - began
    assert totals == [STEPS * len(PAYLOAD)] * runs
    assert count_done(path) == runs * STEPS
    return seconds
