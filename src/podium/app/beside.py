"""Forking a run beside the process that owns the database, with code from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from podium.app.database import Database
from podium.app.forks import fork_run
from podium.app.workflow_file import load_file
from podium.domain.errors import InvalidInput
from podium.domain.runs import Run
from podium.flow.catalog import WorkflowCatalog


async def fork_beside(
    opened: Database,
    run_id: str,
    *,
    at: str | None,
    replacing: Mapping[str, Any],
    new_id: str | None,
    file: str | None,
) -> Run:
    """Fork a run with the code in `file`, or in the file that it was started from; returns the fork.

    A process that works on the database goes on with it. Without `file`, code is taken from below the current
    folder only: a database that came from elsewhere must not choose which code runs. See `RunHandle.fork` for the
    other arguments and what it raises.
    """
    run = await opened.runs.get(run_id)
    workflows = load_file(_location(file) if file is not None else _source_of(run)).workflows
    forked = await fork_run(opened.storage, WorkflowCatalog(workflows), run.id, at, replacing, new_id)
    return await opened.runs.get(forked)


def _source_of(run: Run) -> str:
    if not run.source:
        raise InvalidInput(
            f"run {run.id!a} was not started from a file; name the one with its workflow: --file FILE.py"
        )
    location = _location(run.source)
    if not Path(location).is_relative_to(Path.cwd()):
        raise InvalidInput(
            f"run {run.id!a} was started from {run.source!a}, and code is taken only from below this folder unless you "
            "name it: --file FILE.py"
        )
    return location


def _location(target: str) -> str:
    return target.rpartition(":")[0] if ".py:" in target else target
