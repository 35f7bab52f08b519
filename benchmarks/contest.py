"""The contenders: who they are, and how each is measured in a process of its own, so that none disturbs another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
"""The interpreter of the environment that `make bench` builds for the peers alone."""

PATIENCE = 600
"""Seconds after which a contender counts as hung."""

_VERSIONS = """\
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


class ContestError(Exception):
    """A contender ended without a measurement."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those that are measured: `python` runs `module`, which has the shape of `benchmarks.contenders`."""

    name: str
    module: str
    python: Path

    def seconds(self, database: Path, *, runs: int, steps: int) -> float:
        """Return the seconds that so many runs of so many steps take together, after a warm-up.

        Raises `ContestError`, with the last that it said, when it fails.
        """
        command = [self.python, "-m", self.module, database, runs, steps]
        seconds: float = json.loads(_output(command, self.name))
        return seconds


PODIUM = Contender("Podium", "benchmarks.contenders.podium", Path(sys.executable))

KNOWN_PEERS = (
    Contender("LangGraph, durability=sync", "benchmarks.contenders.langgraph", PEERS_PYTHON),
    Contender("DBOS, with a write-ahead log", "benchmarks.contenders.dbos", PEERS_PYTHON),
)
_PEERS_PACKAGES = ("langgraph", "langgraph-checkpoint-sqlite", "dbos")


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers that can be measured here, with the versions of their packages; none when nothing is installed."""

    contenders: tuple[Contender, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()


def installed_peers(python: Path = PEERS_PYTHON) -> Peers:
    """Return the peers that the environment of `python` holds: all of them, or none."""
    try:
        versions: dict[str, str] = json.loads(
            _output([python, "-c", _VERSIONS, *_PEERS_PACKAGES], "the peers' environment")
        )
    except (ContestError, OSError):
        return Peers()
    return Peers(KNOWN_PEERS, tuple(versions.items()))


def run_module(module: str, *arguments: object) -> Any:
    """Return what a module of ours prints as JSON, run in a process of its own; raises `ContestError`."""
    return json.loads(_output([sys.executable, "-m", module, *arguments], module))


def _output(command: Sequence[object], name: str) -> str:
    # Nothing that is measured here may be told to a service elsewhere, whatever the user's environment says.
    environment = {**os.environ, "LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}
    try:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=PATIENCE,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise ContestError(f"{name} has not ended after {PATIENCE} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ContestError(f"{name} failed with exit code {done.returncode}: {last}")
    return done.stdout.strip().splitlines()[-1]
