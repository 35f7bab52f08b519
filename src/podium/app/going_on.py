"""Going on with one run in this process, with the code it was started from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from podium.app.database import open_database
from podium.app.podium import Podium
from podium.app.workflow_file import load_workflow
from podium.domain.errors import InvalidInput
from podium.domain.ids import RunId
from podium.domain.states import RunState


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where the run stands now, and a line for people about it. `state` is None when it could not go on here."""

    run: RunId
    state: RunState | None
    message: str


async def go_on(database: Path, run_id: RunId) -> Continuation:
    """Work on one run until it ends or waits again.

    The code is taken from the file that the run was started from, but only from below the current folder: a
    database that came from elsewhere must not choose which code runs.
    """
    async with open_database(database) as opened:
        run = await opened.runs.get(run_id)
    file = Path((run.source or "").rpartition(":")[0])
    if not run.source or not file.is_relative_to(Path.cwd()):
        where = f"It was started from {run.source}. " if run.source else ""
        message = f"The run goes on when its workflow is started again. {where}"
        return Continuation(run_id, None, message)
    try:
        loaded = load_workflow(run.source)
    except InvalidInput as error:
        return Continuation(run_id, None, f"The run cannot go on here: {error}")
    async with Podium(database, workflows=loaded.workflows, source=run.source, only=run_id) as app:
        await app.idle()
        now = await app.runs.get(run_id)
    waits = f": {now.waiting_on}" if now.waiting_on else ""
    failed = f": {now.error.message}" if now.error is not None and not waits else ""
    return Continuation(run_id, now.state, f"Run {run_id} is now {now.state}{waits}{failed}.")
