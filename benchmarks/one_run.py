"""One run, step after step: what a step costs when there is nothing to share its commit with."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench
from benchmarks.contest import Contender
from benchmarks.figures import Bound, Figure, Target, at_best, median, ratio
from benchmarks.plain_sqlite import write_rows

STEPS = 2_000
PEER_STEPS = 500
"""Fewer, because what one step costs is the same, and theirs take longer."""
TARGET = Target(Bound.AT_MOST, 0.40)
OVER_COMMIT = Target(Bound.AT_MOST, 2.5)


def measure(bench: Bench) -> tuple[Figure, ...]:
    steps, peer_steps = bench.size(STEPS), bench.size(PEER_STEPS)

    def ms_a_step(contender: Contender, steps: int) -> float:
        return contender.seconds(bench.new_file(), runs=1, steps=steps) * 1000 / steps

    def ms_a_commit() -> float:
        return write_rows(bench.new_file(), steps, 1) * 1000 / steps

    ours, plain, *peers = bench.take_turns(
        partial(ms_a_step, bench.podium, steps),
        ms_a_commit,
        *(partial(ms_a_step, peer, peer_steps) for peer in bench.peers),
    )
    figures = [
        median(f"Podium, 1 run of {steps:,} steps", "ms/step", ours, bench.target(TARGET)),
        *(
            median(f"{peer.name}, 1 run of {peer_steps:,}", "ms/step", samples)
            for peer, samples in zip(bench.peers, peers, strict=True)
        ),
        median("plain sqlite3, 1 row per commit", "ms/commit", plain),
    ]
    if peers:
        figures.append(ratio("best peer / Podium", at_best(min, peers), ours))
    figures.append(ratio("Podium step / plain commit", ours, plain, bench.target(OVER_COMMIT)))
    return tuple(figures)
