"""`podium triggers`: list, show, next, pause, resume, fire."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from podium.cli.given import json_given
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, help_without_command
from podium.cli.output import console, plain, print_json, shown_due, shown_time
from podium.cli.waiting import wait_for
from podium.domain.errors import InvalidInput
from podium.domain.timetables import Cron, Every, Timetable, upcoming
from podium.domain.triggers import TriggerState

if TYPE_CHECKING:
    from podium.app.triggers import Triggers

app = typer.Typer(
    help="Look at triggers, the rules that start runs, and pause, resume or fire them.",
    epilog="Example: podium triggers next nightly",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The trigger's name.")]


@app.command(
    name="list",
    epilog="Examples: podium triggers list · podium triggers list jobs.py · podium triggers list --json",
)
def list_triggers(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE.py", help="Those that this file declares, without a database."),
    ] = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """List triggers: when each fires, when it did last, how often it did not, and why."""
    found = _declared(file) if file is not None else wait_for(lambda: _stored(database))
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("No triggers. `podium worker FILE.py` takes up those of a file.")
        return
    table = Table(box=None, pad_edge=False)
    headings = (
        "trigger",
        "fires on",
        "workflow",
        "last (UTC)",
        "next (UTC)",
        "missed",
        "skipped",
        "last error",
    )
    for heading in headings:
        table.add_column(heading, overflow="fold" if heading == "trigger" else "ellipsis")
    for state in found:
        table.add_row(
            Text(plain(state.name)),
            Text(plain(state.spec, 60)),
            Text(plain(state.workflow)),
            shown_time(state.last_at),
            Text("paused", style="magenta") if state.paused else shown_time(state.next_at),
            str(state.missed),
            str(state.skipped),
            Text("" if state.error is None else plain(state.error.message, 80), style="red"),
        )
    console().print(table)


@app.command(epilog="Example: podium triggers show nightly")
def show(name: Name, database: Database = DEFAULT_DATABASE, as_json: AsJson = False) -> None:
    """Show what is known of a trigger."""
    state = _with(database, lambda triggers: triggers.get(name))
    if as_json:
        print_json(state)
        return
    out = console()
    paused = " · paused" if state.paused else ""
    out.print(
        Text(f"trigger {plain(state.name)} · {plain(state.spec)} · workflow {plain(state.workflow)}{paused}")
    )
    run = f", run {plain(state.last_run)}" if state.last_run else ""
    out.print(
        Text(f"last firing  {shown_time(state.last_at)} UTC{run}" if state.last_at else "last firing  -")
    )
    if state.timetable is not None and not state.paused:
        out.print(Text(f"next firing  {shown_time(state.next_at)} UTC ({shown_due(state.next_at)})"))
    out.print(Text(f"left out     {state.missed} too late, {state.skipped} because a run was open"))
    if state.error is not None:
        error = f"{state.error.type}: {state.error.message}"
        out.print(Text(f"last error   {shown_time(state.error_at)} UTC: {plain(error)}", style="red"))


@app.command(
    name="next",
    epilog="Examples: podium triggers next nightly --count 10 · podium triggers next --cron '0 3 * * *' "
    "--timezone Europe/Berlin · podium triggers next --every 15m",
)
def next_firings(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The schedule's name.")] = None,
    cron: Annotated[str | None, typer.Option(help="Of this cron expression, without a database.")] = None,
    every: Annotated[str | None, typer.Option(help="At this interval (15m, 2h), without a database.")] = None,
    timezone: Annotated[str, typer.Option(help="With --cron: its time zone.")] = "UTC",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 5,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """Show the next firings of a schedule, in its time zone and in UTC."""
    if [name, cron, every].count(None) != 2:
        raise InvalidInput("give the NAME of a schedule, or --cron, or --every: one of them.")
    timetable: Timetable
    if cron is not None:
        timetable = Cron(cron, timezone)
    elif every is not None:
        timetable = Every.of(every)
    else:
        timetable = _timetable(_with(database, lambda triggers: triggers.get(name or "")))
    zone = ZoneInfo(timetable.zone)
    firings = [datetime.fromtimestamp(at, UTC) for at in upcoming(timetable, time.time(), count)]
    if as_json:
        shown = [{"local": at.astimezone(zone).isoformat(), "utc": at.isoformat()} for at in firings]
        print_json({"timezone": timetable.zone, "firings": shown})
        return
    out = console()
    out.print(Text(plain(timetable.words()), style="dim"))
    for at in firings:
        local = at.astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")
        utc = "" if timetable.zone == "UTC" else f"  = {at:%Y-%m-%d %H:%M:%S} UTC"
        out.print(Text(f"{local}{utc}  {shown_due(at.timestamp())}"))


@app.command(epilog="Example: podium triggers pause nightly")
def pause(name: Name, database: Database = DEFAULT_DATABASE, as_json: AsJson = False) -> None:
    """Let a trigger start no runs until it is resumed."""
    _report(_with(database, lambda triggers: triggers.pause(name)), "is paused", as_json=as_json)


@app.command(epilog="Example: podium triggers resume nightly")
def resume(name: Name, database: Database = DEFAULT_DATABASE, as_json: AsJson = False) -> None:
    """Let a paused trigger go on, from now: what it would have fired meanwhile is left out."""
    _report(_with(database, lambda triggers: triggers.resume(name)), "goes on", as_json=as_json)


@app.command(
    epilog="Examples: podium triggers fire nightly · podium triggers fire order.paid:charge --payload '{\"order\": 42}'"
)
def fire(
    name: Name,
    payload: Annotated[
        str | None,
        typer.Option(help="For a trigger on events: the event's payload as JSON; @FILE reads a file."),
    ] = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """Have a trigger start a run now, paused or not, whatever runs are open."""
    from podium.flow.emit import emission_of

    given = None if payload is None else emission_of(name, json_given(payload), None, None).payload
    state = _with(database, lambda triggers: triggers.fire(name, given))
    _report(state, "fires as soon as a process with this trigger works on the database", as_json=as_json)


def _report(state: TriggerState, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(state)
    else:
        console().print(Text(f"Trigger {plain(state.name)} {what}."))


def _timetable(state: TriggerState) -> Timetable:
    if state.timetable is None:
        raise InvalidInput(f"trigger {state.name!r} fires on {state.spec}, at no set times.")
    return state.timetable


def _declared(file: str) -> list[TriggerState]:
    from podium.app.firing import declared_states
    from podium.app.workflow_file import load_file

    loaded = load_file(file)
    return declared_states(loaded.triggers, time.time(), str(Path(file).resolve()))


async def _stored(database: Path) -> list[TriggerState]:
    from podium.app.database import open_database

    async with open_database(database) as opened:
        return list(await opened.triggers.list())


def _with(database: Path, act: Callable[[Triggers], Awaitable[TriggerState]]) -> TriggerState:
    from podium.app.database import open_database

    async def work() -> TriggerState:
        async with open_database(database) as opened:
            return await act(opened.triggers)

    return wait_for(work)
