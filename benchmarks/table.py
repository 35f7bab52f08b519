"""The benchmarks that there are. A new one is a file with a `measure`, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks import (
    conversation,
    durable_steps,
    import_time,
    list_runs,
    one_run,
    parked_runs,
    replay,
    routing,
    similar,
)
from benchmarks.bench import Bench
from benchmarks.figures import Figure
from benchmarks.gateway import measured as gateway


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark: its name on the command line, what it asks, and how it finds out."""

    name: str
    title: str
    measure: Callable[[Bench], tuple[Figure, ...]]


BENCHMARKS: Final = (
    Benchmark("durable-steps", "Durable steps of 1 KB, many runs at once", durable_steps.measure),
    Benchmark("one-run", "One run, step after step of 1 KB", one_run.measure),
    Benchmark("replay", "A long run rebuilt from its journal, and ended", replay.measure),
    Benchmark("conversation", "The journal of a growing conversation with a model", conversation.measure),
    Benchmark(
        "parked-runs",
        "Runs parked on an event: their owner's memory, its restart, waking one",
        parked_runs.measure,
    ),
    Benchmark("list-runs", "A page out of a million runs", list_runs.measure),
    Benchmark(
        "routing", "1,319 questions to each of twelve recorded models, through the gateway", routing.measure
    ),
    Benchmark(
        "similar", "Answers given again to similar questions: how many, and how many wrong", similar.measure
    ),
    Benchmark("gateway", "A call of a model through the gateway, against a local stub", gateway.measure),
    Benchmark("import", "Importing podium", import_time.measure),
)
