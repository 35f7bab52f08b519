"""A great many parked runs: the memory of the process that owns them, its restart, and how soon one goes on.

The process is one of its own, started once to park the runs and, after it has ended, once in each round.
"""

from __future__ import annotations

import time

from benchmarks.bench import Bench
from benchmarks.contest import run_module
from benchmarks.figures import Bound, Figure, Target, median, percentile
from benchmarks.parked_owner import Parked, Woken

RUNS = 100_000
WAKES = 200
MEMORY = Target(Bound.AT_MOST, 300)
RESTART = Target(Bound.AT_MOST, 10)
WAKE = Target(Bound.AT_MOST, 20)


def measure(bench: Bench) -> tuple[Figure, ...]:
    runs, wakes = bench.size(RUNS), bench.size(WAKES)
    path = bench.new_file()
    bench.say(f"parking {runs:,} runs")
    parked = Parked(**run_module("benchmarks.parked_owner", "park", path, runs))
    ready_after: list[float] = []
    woken: list[Woken] = []
    for number in range(bench.effort.rounds):
        bench.say(f"round {number + 1} of {bench.effort.rounds}")
        began = time.monotonic()
        woken.append(Woken(**run_module("benchmarks.parked_owner", "wake", path, wakes)))
        ready_after.append(woken[-1].ready_at - began)
    each = f"of {wakes} single wakes"
    memory = [owner.megabytes for owner in woken]
    p50, p99 = ([percentile(owner.latencies, percent) for owner in woken] for percent in (50, 99))
    return (
        median(f"parking {runs:,} runs", "runs/s", [runs / parked.seconds]),
        median("memory of the process that parked them", "MB", [parked.megabytes], bench.target(MEMORY)),
        median("memory after a restart and the wakes", "MB", memory, bench.target(MEMORY)),
        median("restart to ready, from the process's start", "s", ready_after, bench.target(RESTART)),
        median(f"event to end of run, p50 {each}", "ms", p50),
        median(f"event to end of run, p99 {each}", "ms", p99, bench.target(WAKE)),
    )
