"""Many short runs at once: how many steps a second are made durable, by Podium and by its peers."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench
from benchmarks.contest import Contender
from benchmarks.figures import Bound, Figure, Target, at_best, median, ratio
from benchmarks.plain_sqlite import write_rows

RUNS = 500
STEPS = 10
SINGLE_ROWS = 1_000
"""Rows that get a commit each: enough for a rate, and few, because a slow disk takes seconds over them."""
GROUP = 256
TARGET = Target(Bound.AT_LEAST, 12_000)
OVER_PEERS = Target(Bound.AT_LEAST, 10)
OF_PLAIN = Target(Bound.AT_LEAST, 0.5)


def measure(bench: Bench) -> tuple[Figure, ...]:
    runs = bench.size(RUNS)
    rows = runs * STEPS

    def steps_a_second(contender: Contender) -> float:
        return rows / contender.seconds(bench.new_file(), runs=runs, steps=STEPS)

    def rows_a_second(rows: int, per_commit: int) -> float:
        return rows / write_rows(bench.new_file(), rows, per_commit)

    ours, single, grouped, *peers = bench.take_turns(
        partial(steps_a_second, bench.podium),
        partial(rows_a_second, bench.size(SINGLE_ROWS), 1),
        partial(rows_a_second, rows, GROUP),
        *(partial(steps_a_second, peer) for peer in bench.peers),
    )
    figures = [
        median(f"Podium, {runs} runs x {STEPS} steps", "steps/s", ours, bench.target(TARGET)),
        *(
            median(f"{peer.name}, the same", "steps/s", samples)
            for peer, samples in zip(bench.peers, peers, strict=True)
        ),
        median("plain sqlite3, 1 row per commit", "rows/s", single),
        median(f"plain sqlite3, {GROUP} rows per commit", "rows/s", grouped),
    ]
    if peers:
        figures.append(ratio("Podium / best peer", ours, at_best(max, peers), bench.target(OVER_PEERS)))
    figures += [
        ratio("Podium / plain, 1 row", ours, single),
        ratio(f"Podium / plain, {GROUP} rows", ours, grouped, bench.target(OF_PLAIN)),
    ]
    return tuple(figures)
