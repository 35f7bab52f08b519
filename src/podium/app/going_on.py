"""Going on with one run that something was put into the inbox of: in the process that owns it, or else in this one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from podium.app.database import Database, open_database
from podium.app.models import check_models
from podium.app.podium import Podium
from podium.app.settings import with_models
from podium.app.workflow_file import WorkflowFile, load_workflow
from podium.domain.errors import CredentialMissing, InvalidInput, StorageUnavailable
from podium.domain.ids import RunId
from podium.domain.runs import DEFAULT_TENANT, Run
from podium.domain.states import RunState
from podium.settings import Settings

PATIENCE = 5.0
"""Seconds in which the process that owns the database should have taken what is in the inbox."""

_INTERVAL = 0.1


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where the run stands now, and a line for people about it. `state` is None when it does not go on yet."""

    run: RunId
    state: RunState | None
    message: str


async def go_on(
    database: Path,
    run_id: RunId,
    models: Sequence[str] | None,
    environment: Mapping[str, str],
    tenant: str = DEFAULT_TENANT,
) -> Continuation:
    """Have a run take what is in its inbox, and go on with it and its parents until they end or wait again.

    The code is taken from the file that the run was started from, but only from below the current folder: a
    database that came from elsewhere must not choose which code runs. So are the settings, with `models`, if any, in
    place of every prompt's own.
    """
    until, why = time.monotonic() + PATIENCE, ""
    async with open_database(database, tenant) as opened:
        while time.monotonic() < until:
            # A child's result is of no use without its parent: they go on together.
            run = await opened.runs.root(run_id)
            if not await opened.runs.has_mail(run_id):
                return Continuation(run.id, run.state, _standing(run))
            if opened.is_owned():
                why = "the process that owns the database does not work on it"
            else:
                try:
                    return await _here(opened, run, models, environment)
                except StorageUnavailable as error:
                    # Another process may have been faster.
                    why = str(error).rstrip(".")
            await asyncio.sleep(_INTERVAL)
    return Continuation(
        run_id, None, f"Run {run_id} does not go on yet: {why}. It does when its workflow is started again."
    )


async def _here(
    opened: Database, run: Run, models: Sequence[str] | None, environment: Mapping[str, str]
) -> Continuation:
    file = Path((run.source or "").rpartition(":")[0])
    if not run.source or not file.is_relative_to(Path.cwd()):
        where = f" It was started from {run.source}." if run.source else ""
        why = f"Run {run.id} goes on when its workflow is started again: only code below this folder is run here."
        return Continuation(run.id, None, f"{why}{where}")
    try:
        loaded = load_workflow(run.source)
        settings = with_models(loaded.settings, models)
        check_models(loaded.prompts, settings, environment)
    except (InvalidInput, CredentialMissing) as error:
        return Continuation(run.id, None, f"Run {run.id} cannot go on here: {error}")
    now = await _worked_on(opened.path, run, loaded, settings)
    return Continuation(run.id, now.state, _standing(now))


async def _worked_on(database: Path, run: Run, loaded: WorkflowFile, settings: Settings) -> Run:
    async with Podium(
        database,
        workflows=loaded.workflows,
        queues=loaded.queues,
        budgets=loaded.budgets,
        settings=settings,
        source=run.source,
        only=run.id,
    ) as app:
        await app.idle()
        return await app.for_tenant(run.tenant).runs.get(run.id)


def _standing(run: Run) -> str:
    if run.state is RunState.RUNNING:
        return f"Run {run.id} goes on in the process that works on the database."
    why = f": {run.waiting_on}" if run.waiting_on else ""
    failed = f": {run.error.message.rstrip('.')}" if run.error is not None and not why else ""
    return f"Run {run.id} is now {run.state}{why}{failed}."
