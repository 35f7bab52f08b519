"""One run, step after step: what a step costs when there is nothing to share its commit with."""

from __future__ import annotations

import asyncio
import time

from benchmarks.bench import Bench
from benchmarks.figures import Figure, median, ratio
from benchmarks.plain_sqlite import PAYLOAD, count_done, write_rows
from benchmarks.workflows import in_sequence, podium

STEPS = 2_000


def measure(bench: Bench) -> tuple[Figure, ...]:
    steps = bench.size(STEPS)

    def ms_a_step() -> float:
        return asyncio.run(_run(bench, steps)) * 1000 / steps

    def ms_a_commit() -> float:
        return write_rows(bench.new_file(), steps, 1) * 1000 / steps

    ours, plain = bench.take_turns(ms_a_step, ms_a_commit)
    return (
        median(f"Podium, 1 run of {steps:,} steps", "ms/step", ours),
        median("plain sqlite3, 1 row per commit", "ms/commit", plain),
        ratio("Podium step / plain commit", ours, plain),
    )


async def _run(bench: Bench, steps: int) -> float:
    path = bench.new_file()
    async with podium(path) as app:
        began = time.perf_counter()
        total = await app.run(in_sequence, steps)
        seconds = time.perf_counter() - began
    assert total == steps * len(PAYLOAD)
    assert count_done(path) == steps
    return seconds
