"""`podium runs`: list, count, show; cancel, pause, resume, retry one or many."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from podium.cli.bulk import FILTER_HELP, ManyRuns, OneRun, Unasked, control
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Tenant, help_without_command
from podium.cli.output import console, jsonable, plain, print_json, shown_seconds, shown_time
from podium.cli.timeline import print_timeline
from podium.cli.waiting import wait_for
from podium.domain.attributes import Attributes
from podium.domain.filter_language import parse_filter
from podium.domain.filters import Filter, narrowed
from podium.domain.ids import RunId
from podium.domain.runs import DEFAULT_TENANT, Run
from podium.domain.states import RunState

app = typer.Typer(
    help="Look at runs, and control them.",
    epilog="Example: podium runs list --state failed",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)

STATE_STYLES = {
    RunState.COMPLETED: "green",
    RunState.WAITING: "yellow",
    RunState.FAILED: "red",
    RunState.BLOCKED: "bold red",
    RunState.CANCELLED: "dim",
    RunState.RUNNING: "cyan",
    RunState.PENDING: "dim",
    RunState.PAUSED: "magenta",
}
"""How each state looks in a terminal."""


@app.command(
    name="list",
    epilog="Examples: podium runs list · podium runs list 'state:failed,blocked workflow:support started>2026-01-01' · "
    "podium runs list attr.customer=42 --json · podium runs list --tenant acme · podium runs list --limit 100 --after ticket-007",
)
def list_runs(
    filter: Annotated[str, typer.Argument(metavar="[FILTER]", help=FILTER_HELP)] = "",
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    state: Annotated[
        list[RunState] | None, typer.Option(help="Only runs in this state; may be repeated.")
    ] = None,
    workflow: Annotated[str | None, typer.Option(help="Only runs of this workflow.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at the most.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="RUN", help="Begin after this run: the last one of the page before.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs that match, newest first."""
    wanted = narrowed(parse_filter(filter), states=state or None, workflow=workflow)
    found, attributes = wait_for(lambda: _list(database, tenant, wanted, limit, after))
    if as_json:
        print_json([{**jsonable(run), "attributes": attributes.get(run.id, {})} for run in found])
        return
    if not found:
        console().print("No runs.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "workflow", "state", "started (UTC)", "active", "cost", "waits for / reason"):
        table.add_column(heading, overflow="fold" if heading == "run" else "ellipsis")
    for run in found:
        reason = run.error.message if run.error is not None else run.waiting_on or ""
        table.add_row(
            Text(plain(run.id)),
            Text(plain(run.workflow)),
            Text(run.state, style=STATE_STYLES[run.state]),
            shown_time(run.started_at),
            shown_seconds(run.spending.active_seconds),
            run.spending.cost,
            Text(plain(reason, 80)),
        )
    console().print(table)
    if len(found) == limit:
        last = plain(shlex.quote(found[-1].id))
        console().print(Text(f"There may be more: --after {last} goes on from here.", style="dim"))


@app.command(epilog="Examples: podium runs count · podium runs count 'state:failed finished>-1d'")
def count(
    filter: Annotated[str, typer.Argument(metavar="[FILTER]", help=FILTER_HELP)] = "",
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Count runs that match."""
    from podium.app.database import open_database

    wanted = parse_filter(filter)

    async def read() -> int:
        async with open_database(database, tenant) as opened:
            return await opened.runs.count(wanted)

    counted = wait_for(read)
    if as_json:
        print_json({"filter": filter, "runs": counted})
    else:
        console().print(str(counted))


@app.command(
    epilog="Examples: podium runs show ticket-007 · podium runs show ticket-007 --full · "
    "podium runs show poller --generation 3"
)
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    full: Annotated[
        bool, typer.Option("--full", help="With rendered prompts, raw responses and values.")
    ] = False,
    generation: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="An earlier generation of a run that went on as new."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run's timeline: each step and attempt, model, tokens, cost, confidence, duration, error."""
    from podium.app.database import open_database

    async def read() -> None:
        async with open_database(database, tenant) as opened:
            timeline = await opened.runs.timeline(run_id, generation=generation)
        if as_json:
            print_json(timeline)
        else:
            print_timeline(console(), timeline, full=full)

    wait_for(read)


@app.command(
    epilog="Examples: podium runs cancel ticket-007 · podium runs cancel --filter 'workflow:support state:waiting'"
)
def cancel(
    run_id: OneRun = None,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    filter: ManyRuns = None,
    unasked: Unasked = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a run, or many. A running process does it at once, otherwise the next one that is started."""
    control("cancel", run_id, filter, database, tenant, unasked=unasked, as_json=as_json)


@app.command(
    epilog="Examples: podium runs pause ticket-007 · podium runs pause --filter 'workflow:support not attr.vip=true'"
)
def pause(
    run_id: OneRun = None,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    filter: ManyRuns = None,
    unasked: Unasked = False,
    as_json: AsJson = False,
) -> None:
    """Have a run, or many, stop once the steps under way have ended, until they are resumed."""
    control("pause", run_id, filter, database, tenant, unasked=unasked, as_json=as_json)


@app.command(
    epilog="Examples: podium runs resume ticket-007 · podium runs resume --filter workflow:support --yes"
)
def resume(
    run_id: OneRun = None,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    filter: ManyRuns = None,
    unasked: Unasked = False,
    as_json: AsJson = False,
) -> None:
    """Have a paused run, or many, go on."""
    control("resume", run_id, filter, database, tenant, unasked=unasked, as_json=as_json)


@app.command(
    epilog="Examples: podium runs retry ticket-007 · podium runs retry --filter 'state:failed error:timeout finished>-1d'"
)
def retry(
    run_id: OneRun = None,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    filter: ManyRuns = None,
    unasked: Unasked = False,
    as_json: AsJson = False,
) -> None:
    """Have a failed run, or many, go on from what failed; have blocked ones tried with the code as it is."""
    control("retry", run_id, filter, database, tenant, unasked=unasked, as_json=as_json)


async def _list(
    database: Path, tenant: str, filter: Filter, limit: int, after: str | None
) -> tuple[Sequence[Run], Mapping[RunId, Attributes]]:
    from podium.app.database import open_database

    async with open_database(database, tenant) as opened:
        last = None if after is None else await opened.runs.get(after)
        found = await opened.runs.list(filter, limit=limit, after=last)
        return found, await opened.runs.attributes([run.id for run in found])
