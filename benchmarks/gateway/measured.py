"""What the gateway adds: the pass-through lane over HTTP, the typed lane in the caller's process, beside others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.contest import PEERS_PYTHON, ROOT, ContestError
from benchmarks.figures import Bound, Figure, Target, median
from benchmarks.gateway import servers

REQUESTS = 4_000
CALLS = 600
STREAMS = 120
MODEL = "gpt-4.1-mini"
ADDED = Target(Bound.AT_MOST, 1.0)
RATE = Target(Bound.AT_LEAST, 3_000)
OVER_DIRECT = Target(Bound.AT_MOST, 0.4)
OVER_ROUTER = Target(Bound.AT_LEAST, 2)
STREAM = Target(Bound.AT_MOST, 1.3)

Measured = dict[str, float]


def measure(bench: Bench) -> tuple[Figure, ...]:
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.stub())
        return (*_passed_through(bench, upstream), *_typed(bench, upstream))


def _passed_through(bench: Bench, upstream: str) -> tuple[Figure, ...]:
    figures: list[Figure] = []
    for workers in (1, 2):
        with servers.podium(bench.folder, upstream, workers) as (url, token):
            figures += _one_server(
                bench, f"Podium, {workers} workers", upstream, url, f"openai:{MODEL}", token
            )
    if bench.peers and servers.has_litellm():
        with servers.litellm_proxy(bench.folder, upstream) as (url, token):
            figures += _one_server(bench, "LiteLLM proxy, 1 worker", upstream, url, MODEL, token, share=0.1)
    return tuple(figures)


def _one_server(
    bench: Bench, name: str, upstream: str, url: str, model: str, token: str, share: float = 1.0
) -> list[Figure]:
    requests = max(20, round(bench.size(REQUESTS) * share))
    ours = url != "" and name.startswith("Podium")
    added: list[float] = []
    rates: dict[int, list[float]] = {1: [], 32: [], 256: []}

    def one_round() -> float:
        direct = _load(upstream, "none", MODEL, 1, requests)
        for concurrency, found in rates.items():
            through = _load(url, token, model, concurrency, requests)
            found.append(through["rate"])
            if concurrency == 1:
                added.append((through["p50"] - direct["p50"]) * 1000)
        return added[-1]

    bench.take_turns(one_round)
    # The first round only warms up.
    figures = [
        median(f"{name}: added to the median at c=1", "ms", added[1:], bench.target(ADDED) if ours else None)
    ]
    for concurrency, found in rates.items():
        wanted = ours and "2 workers" in name and concurrency > 1
        target = bench.target(RATE) if wanted else None
        figures.append(median(f"{name}: c={concurrency}", "requests/s", found[1:], target))
    return figures


def _typed(bench: Bench, upstream: str) -> tuple[Figure, ...]:
    own, theirs = Path(sys.executable), PEERS_PYTHON
    callers: dict[str, tuple[str, Path]] = {
        "raw aiohttp": ("aiohttp", own),
        "pydantic-ai direct": ("pydantic-ai", own),
        "Podium, typed lane": ("podium", own),
    }
    if bench.peers and servers.has_litellm():
        callers["LiteLLM acompletion"] = ("litellm", theirs)
        callers["LiteLLM Router"] = ("litellm-router", theirs)
    found: dict[str, dict[str, list[float]]] = {name: {"p50": [], "rate": []} for name in callers}

    def turn(name: str) -> Callable[[], float]:
        def one_round() -> float:
            module, python = callers[name]
            single = _call(python, module, upstream, 1, bench.size(CALLS))
            many = _call(python, module, upstream, 32, bench.size(CALLS))
            found[name]["p50"].append(single["p50"] * 1000)
            found[name]["rate"].append(many["rate"])
            return single["p50"]

        return one_round

    bench.take_turns(*(turn(name) for name in callers))
    figures = [
        figure
        for name, samples in found.items()
        for figure in (
            median(f"{name}: median at c=1", "ms", samples["p50"][1:]),
            median(f"{name}: c=32", "requests/s", samples["rate"][1:]),
        )
    ]
    ours, direct = found["Podium, typed lane"], found["pydantic-ai direct"]
    over = [a - b for a, b in zip(ours["p50"], direct["p50"], strict=True)][1:]
    figures.append(median("Podium over pydantic-ai direct, c=1", "ms", over, bench.target(OVER_DIRECT)))
    if bench.peers and servers.has_litellm():
        router = found["LiteLLM Router"]["rate"]
        times = [a / b for a, b in zip(ours["rate"], router, strict=True)][1:]
        figures.append(median("Podium / LiteLLM Router, c=32", "x", times, bench.target(OVER_ROUTER)))
    return (*figures, *_streams(bench, upstream))


def _streams(bench: Bench, upstream: str) -> tuple[Figure, ...]:
    own = Path(sys.executable)

    def milliseconds(name: str) -> float:
        return _call(own, name, upstream, 8, bench.size(STREAMS))["cpu"] * 1000

    ours, direct = bench.take_turns(
        lambda: milliseconds("podium-stream"), lambda: milliseconds("pydantic-ai-stream")
    )
    share = [mine / other for mine, other in zip(ours, direct, strict=True)]
    return (
        median("Podium, typed lane: a stream of 64 tokens", "ms of CPU", ours),
        median("pydantic-ai direct: a stream of 64 tokens", "ms of CPU", direct),
        median("Podium / pydantic-ai direct, a stream", "x", share, bench.target(STREAM)),
    )


def _load(url: str, key: str, model: str, concurrency: int, requests: int) -> Measured:
    return _run(Path(sys.executable), "benchmarks.gateway.load", url, key, model, concurrency, requests)


def _call(python: Path, name: str, url: str, concurrency: int, requests: int) -> Measured:
    return _run(python, "benchmarks.gateway.callers", name, url, concurrency, max(requests, concurrency))


def _run(python: Path, module: str, *arguments: object) -> Measured:
    command = [str(python), "-m", module, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
    if ended.returncode != 0:
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ContestError(f"{module} {arguments[0]} failed: {last}")
    found: Measured = json.loads(ended.stdout.strip().splitlines()[-1])
    return found
