"""A job: one workflow run for each line of a file, which goes on where it was when it is run again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import quantiles
from typing import Any

from podium.app.job_lines import JobLine
from podium.app.podium import Podium
from podium.domain.answers import Usage
from podium.domain.errors import InvalidInput, QueueFull, StateConflict
from podium.domain.ids import RunId
from podium.domain.money import Money
from podium.domain.operations import OperationKind
from podium.domain.runs import DEFAULT_TENANT, Run
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.flow.workflows import Workflow

_PAUSE = 0.1
"""Seconds, at most, between two tries to place a run in a full queue."""


@dataclass(frozen=True, slots=True)
class JobStart:
    """What a job found when it began: new runs, runs it goes on with, runs that wait, runs that had ended.

    `other_input` counts runs whose line has changed since they were started; the stored input stands.
    """

    new: Sequence[RunId]
    resumed: Sequence[RunId]
    waiting: Sequence[RunId]
    ended: Sequence[RunId]
    broken: Sequence[JobLine]
    repaired: Sequence[int]
    other_input: int

    @property
    def runs(self) -> Sequence[RunId]:
        """All runs of the job."""
        return [*self.new, *self.resumed, *self.waiting, *self.ended]


@dataclass(slots=True)
class JobTotals:
    """What a job came to. `seconds` are the runs' active times, human waits excluded; `p50`, `p95` theirs.

    `priced`: whether `cost` is all that it cost.
    """

    states: Counter[RunState] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    cost: Money = field(default_factory=Money)
    priced: bool = True
    seconds: list[float] = field(default_factory=list)
    reasons: dict[RunId, str] = field(default_factory=dict)

    def percentile(self, percent: int) -> float | None:
        """Return a percentile of the active times in seconds, or None without any."""
        if len(self.seconds) < 2:
            return self.seconds[0] if self.seconds else None
        return quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


async def begin_job(
    app: Podium,
    workflow: Workflow[Any, Any],
    lines: Iterable[JobLine],
    progress: Callable[[int], None],
    tenant: str = DEFAULT_TENANT,
) -> JobStart:
    """Start a run for every good line that has none; `progress` is told the number of lines looked at."""
    found: dict[str, list[RunId]] = {"new": [], "resumed": [], "waiting": [], "ended": []}
    broken, repaired, other_input = [], [], 0
    for count, line in enumerate(lines, 1):
        progress(count)
        if line.input is None or line.run_id is None:
            broken.append(line)
            continue
        if line.repaired:
            repaired.append(line.number)
        try:
            run, is_new = await _submitted(app, workflow, line.input, line.run_id, tenant)
        except (InvalidInput, StateConflict) as error:
            broken.append(replace(line, input=None, problem=str(error)))
            continue
        found["new" if is_new else _standing(run)].append(run.id)
        other_input += run.input != line.input
    return JobStart(**found, broken=broken, repaired=repaired, other_input=other_input)


async def _submitted(
    app: Podium, workflow: Workflow[Any, Any], encoded: bytes, run_id: str, tenant: str
) -> tuple[Run, bool]:
    while True:
        try:
            return await app.submit(workflow, encoded, run_id, tenant=tenant)
        except QueueFull as full:
            # The file keeps what the queue has no place for yet.
            await asyncio.sleep(min(full.retry_after or _PAUSE, _PAUSE))


async def total_up(app: Podium, run_ids: Sequence[RunId], tenant: str = DEFAULT_TENANT) -> JobTotals:
    """Return what the runs came to, from what is stored."""
    totals, runs = JobTotals(), app.for_tenant(tenant).runs
    for run_id in run_ids:
        timeline = await runs.timeline(run_id)
        run = timeline.run
        totals.states[run.state] += 1
        totals.usage += run.spending.usage
        totals.cost += Money(run.spending.cost_nanos)
        totals.priced = totals.priced and run.spending.priced
        if run.state in TERMINAL_RUN_STATES or run.state is RunState.WAITING:
            totals.seconds.append(run.spending.active_seconds)
        if run.error is not None:
            totals.reasons[run.id] = run.error.message
        for operation in timeline.operations:
            if operation.kind is OperationKind.MODEL and isinstance(operation.value, dict):
                totals.models[str(operation.value.get("model"))] += 1
    return totals


def _standing(run: Run) -> str:
    if run.state in TERMINAL_RUN_STATES:
        return "ended"
    if run.state is RunState.WAITING:
        return "waiting"
    # Stored by an earlier start of the job, but never begun.
    return "new" if run.started_at is None else "resumed"
