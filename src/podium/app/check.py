"""Checking code against the runs that are under way: each is replayed, nothing is begun and nothing is stored."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from podium.app.callbacks import from_callback
from podium.app.database import existing
from podium.app.time_limit import OutOfTime, time_limit
from podium.domain.ids import RunId
from podium.domain.states import RunState
from podium.flow.catalog import WorkflowCatalog
from podium.flow.fitting import Effect, Misfit, MisfitKind, misfit_of, without_version
from podium.flow.workflows import Workflow
from podium.ports.journal import LoadedRun
from podium.settings import StorageSettings
from podium.storage import in_flight
from podium.storage.sqlite.database import open_sqlite

IN_FLIGHT = frozenset(
    {RunState.PENDING, RunState.RUNNING, RunState.WAITING, RunState.PAUSED, RunState.BLOCKED}
)
"""States of runs that are to go on."""

TIME_LIMIT = 5.0
"""Seconds that the replay of one run may take."""

_PAGE = 200
_MOST_GROUPS = 200
_MOST_RUNS = 20


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """What became of one run: it fits when `misfit` is None."""

    run: RunId
    workflow: str
    version: str
    state: RunState
    misfit: Misfit | None


async def checked_runs(
    database: Path,
    workflows: Sequence[Workflow[Any, Any]],
    *,
    with_failed: bool = False,
    seconds: float = TIME_LIMIT,
    tenant: str | None = None,
    storage_settings: StorageSettings | None = None,
) -> AsyncIterator[CheckedRun]:
    """Replay every run of `workflows` that is under way, of a tenant or of all, oldest first, and yield what came of it.

    `with_failed` adds failed runs, which fit when they can be retried. A replay may take `seconds`. Works beside
    the process that owns the database. Raises `StorageUnavailable` when that cannot be read, and `InvalidInput` for
    two workflows of the same name and version.
    """
    catalog = WorkflowCatalog(workflows)
    names = {workflow.name for workflow in catalog}
    states = IN_FLIGHT | {RunState.FAILED} if with_failed else IN_FLIGHT
    page_after = partial(in_flight.list_numbered, tenant=tenant, workflows=names, states=states, limit=_PAGE)
    storage = await open_sqlite(existing(database), settings=storage_settings or StorageSettings(), own=False)
    try:
        last = 0
        while page := await storage.read(partial(page_after, after=last)):
            last = page[-1].number
            # Before the journals: what is open by then, the code must have asked for.
            effects = await storage.read(partial(in_flight.open_effects, wanted=[run.id for run in page]))
            for numbered in page:
                loaded = await storage.load(numbered.id)
                # Beside its owner, a run may have ended since.
                if loaded is not None and loaded.run.state in states:
                    found = [Effect(*effect[:4]) for effect in effects.get(numbered.id, ())]
                    yield await from_callback(partial(_checked, catalog, loaded, found, seconds))
    finally:
        await storage.close()


def _checked(
    catalog: WorkflowCatalog, loaded: LoadedRun, effects: Sequence[Effect], seconds: float
) -> CheckedRun:
    run = loaded.run
    workflow = catalog.find(run.workflow, run.version)
    checked = CheckedRun(run.id, run.workflow, run.version, run.state, None)
    if workflow is None:
        return replace(checked, misfit=without_version(run))
    try:
        # What the code prints was printed when it ran.
        with contextlib.redirect_stdout(io.StringIO()), time_limit(seconds):
            misfit = misfit_of(workflow, run, loaded.entries, effects)
    except OutOfTime:
        said = f"the code did not come to a rest within {seconds:g} seconds"
        misfit = Misfit(MisfitKind.ENDLESS, f"it is {run.state}", said)
    return replace(checked, misfit=misfit)


@dataclass(slots=True)
class Group:
    """Runs that do not fit for the same reason. `example` is the first, `runs` the ids of the first few."""

    example: CheckedRun
    count: int = 0
    runs: list[RunId] = field(default_factory=list)


class Findings:
    """What a check found, in a memory that does not grow with the number of runs."""

    def __init__(self) -> None:
        self.fitting: Counter[RunState] = Counter()
        self.kinds: Counter[MisfitKind] = Counter()
        self.ungrouped = 0
        """Runs that do not fit, for reasons of which there were too many."""
        self._groups: dict[tuple[object, ...], Group] = {}

    @property
    def checked(self) -> int:
        """How many runs were looked at."""
        return self.fitting.total() + self.kinds.total()

    @property
    def broken(self) -> int:
        """How many runs do not fit."""
        return self.kinds.total()

    @property
    def groups(self) -> Sequence[Group]:
        """The reasons why runs do not fit, the most frequent first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)

    def add(self, checked: CheckedRun) -> None:
        """Take note of one run."""
        misfit = checked.misfit
        if misfit is None:
            self.fitting[checked.state] += 1
            return
        self.kinds[misfit.kind] += 1
        same = (checked.workflow, checked.version, misfit.kind, misfit.about, misfit.where)
        group = self._groups.get(same)
        if group is None:
            if len(self._groups) == _MOST_GROUPS:
                self.ungrouped += 1
                return
            group = self._groups[same] = Group(checked)
        group.count += 1
        if len(group.runs) < _MOST_RUNS:
            group.runs.append(checked.run)
