"""Many runs wait for people: what each costs meanwhile, and how soon one goes on when its review is decided."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc

from benchmarks.bench import Bench
from benchmarks.figures import Figure, median, percentile
from benchmarks.workflows import podium, then_a_person
from podium import DecisionVerdict, Podium, RunState

RUNS = 2_000
DECISIONS = 50
FIRST = 100
"""Runs that are parked before memory is first looked at, so that what is made once does not count."""


def measure(bench: Bench) -> tuple[Figure, ...]:
    return asyncio.run(_measure(bench))


async def _measure(bench: Bench) -> tuple[Figure, ...]:
    runs, decisions, rounds = bench.size(RUNS), bench.size(DECISIONS), bench.effort.rounds
    async with podium(bench.new_file()) as app:
        bench.say(f"parking {runs:,} runs")
        kilobytes = await _kilobytes_a_run(app, bench.size(FIRST), runs)
        latencies = []
        for number in range(rounds + 1):
            bench.say(f"round {number} of {rounds}" if number else "warming up")
            gc.collect()
            latencies.append(await _decide(app, decisions))
        decided = (rounds + 1) * decisions
        assert (await app.runs.counts())[RunState.COMPLETED] == decided
    counted = latencies[1:]
    return (
        median(f"decision to end, p50 of {decisions}", "ms", [percentile(each, 50) for each in counted]),
        median(f"decision to end, p99 of {decisions}", "ms", [percentile(each, 99) for each in counted]),
        median(f"memory of each of {runs:,} runs", "KB", [kilobytes]),
    )


async def _kilobytes_a_run(app: Podium, first: int, runs: int) -> float:
    tracemalloc.start()
    try:
        await _park(app, first)
        await _park(app, 1)
        before = _allocated()
        await _park(app, runs - 1)
        # One more on its own: what the great transactions held on their way is gone by then.
        await _park(app, 1)
        return (_allocated() - before) / runs / 1024
    finally:
        tracemalloc.stop()


async def _park(app: Podium, runs: int) -> None:
    await asyncio.gather(*(app.start(then_a_person, 1) for _ in range(runs)))
    await app.idle()


def _allocated() -> int:
    gc.collect()
    allocated, _ = tracemalloc.get_traced_memory()
    return allocated


async def _decide(app: Podium, decisions: int) -> list[float]:
    """Decide reviews one after the other; return the milliseconds from each decision to the end of its run."""
    taken = []
    for review in await app.reviews.list(limit=decisions):
        run = await app.get(review.run)
        began = time.perf_counter()
        await app.reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="benchmark")
        app.look()
        await run.result()
        taken.append((time.perf_counter() - began) * 1000)
    assert len(taken) == decisions
    return taken
