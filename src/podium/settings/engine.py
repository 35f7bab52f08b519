"""Settings of the embedded engine."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.checks import Checks


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the embedded engine works.

    `max_active_runs`: runs held in memory and worked on at once; more wait as `pending`.
    `poll_interval`: seconds between looks for what other processes wrote (decisions, cancellations).
    `linger`: a run whose next timer is at most this many seconds away stays in memory.
    `step_threads`: threads for synchronous steps.
    `gc_threshold`: after how many new objects Python looks for cyclic garbage in this process while Podium is
    open, if that is rarer than it does anyway; 0 leaves it as it is.
    """

    max_active_runs: int = 1000
    poll_interval: float = 0.2
    linger: float = 1.0
    step_threads: int = 16
    gc_threshold: int = 10_000

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.count("max_active_runs", "step_threads", least=1)
        checks.count("gc_threshold")
        checks.time("poll_interval", above=True)
        checks.time("linger")
