"""`podium worker`: owns a database, works on the workflows of a file and fires its triggers, until it is stopped."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from podium.cli.exits import Exit, Interrupted
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Models
from podium.cli.output import console, plain, print_json, shown_time
from podium.cli.waiting import wait_for

if TYPE_CHECKING:
    from podium.app.podium import Podium
    from podium.app.workflow_file import WorkflowFile
    from podium.domain.triggers import TriggerState
    from podium.settings import Settings

HELP = (
    "Work on a database until stopped: goes on with the unfinished runs of the file's workflows, takes what other "
    "processes put there (decisions, events, cancellations), and fires the file's triggers. Ctrl-C or SIGTERM stops "
    "it cleanly, with exit code 0; what was under way goes on at the next start. FILE.py may hold "
    "`settings = Settings(...)`; options stand over it."
)
EXAMPLES = "Examples: podium worker jobs.py · podium worker jobs.py --db jobs.db --concurrency 50"
_AT_ONCE = 1000
_LOOK = 1.0


def work(
    file: Annotated[str, typer.Argument(metavar="FILE.py", help="The file with workflows and triggers.")],
    database: Database = DEFAULT_DATABASE,
    model: Models = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="Runs at work at once.", show_default="1000, or what FILE's settings say"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Work on a database until stopped."""
    from podium.app.models import check_models
    from podium.app.settings import with_concurrency, with_models
    from podium.app.workflow_file import load_file

    loaded = load_file(file)
    settings = with_concurrency(with_models(loaded.settings, model), concurrency, _AT_ONCE)
    check_models(loaded.prompts, settings, os.environ)
    try:
        wait_for(lambda: _work(loaded, database, settings, as_json=as_json))
    except Interrupted:
        # To be stopped is how a worker ends.
        raise typer.Exit(Exit.OK) from None


async def _work(loaded: WorkflowFile, database: Path, settings: Settings, *, as_json: bool) -> None:
    from podium.app.podium import Podium

    async with Podium(
        database,
        workflows=loaded.workflows,
        triggers=loaded.triggers,
        queues=loaded.queues,
        budgets=loaded.budgets,
        settings=settings,
        source=loaded.source,
    ) as app:
        await _say_what(app, loaded, database, as_json=as_json)
        while True:
            # Raises what makes the database unusable.
            await app.idle()
            await asyncio.sleep(_LOOK)


async def _say_what(app: Podium, loaded: WorkflowFile, database: Path, *, as_json: bool) -> None:
    declared = {trigger.name for trigger in loaded.triggers}
    known = {(workflow.name, workflow.version) for workflow in loaded.workflows}
    stored = await app.runs.open_by_version()
    unknown = {place: count for place, count in stored.items() if place not in known}
    states = [state for state in await app.triggers.list() if state.name in declared]
    following = min(
        (state for state in states if state.next_at and not state.paused), key=_next_at, default=None
    )
    if as_json:
        print_json(
            {
                "database": str(database),
                "workflows": [workflow.name for workflow in loaded.workflows],
                "triggers": sorted(declared),
                "taken_up": app.taken_up,
                "without_code": [
                    {"workflow": workflow, "version": version, "runs": count}
                    for (workflow, version), count in unknown.items()
                ],
                "next": following and {"trigger": following.name, "at": following.next_at},
            }
        )
        return
    runs = f", {app.taken_up} unfinished runs" if app.taken_up else ""
    first = f"; next: {plain(following.name)} at {shown_time(following.next_at)} UTC" if following else ""
    told = f"Working on {plain(database)}: {len(loaded.workflows)} workflows, {len(declared)} triggers{runs}{first}."
    console().print(Text(f"{told} Ctrl-C stops it."))
    for (workflow, version), count in unknown.items():
        of = f"{plain(workflow)!r}" + (f" version {plain(version)!r}" if version else "")
        console().print(
            Text(
                f"{count} open runs of workflow {of} stay as they are: their code is not in this file.",
                style="yellow",
            )
        )


def _next_at(state: TriggerState) -> float:
    return state.next_at or 0.0
