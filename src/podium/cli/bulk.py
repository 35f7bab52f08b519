"""Controls of runs: done to one, or to all that a filter finds, which are counted, confirmed, done, and told of."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from podium.cli.exits import Interrupted
from podium.cli.output import console, on_terminal, plain, print_json
from podium.cli.waiting import wait_for
from podium.domain.errors import InvalidInput

if TYPE_CHECKING:
    from podium.app.bulk import BulkResult
    from podium.domain.runs import Run

FILTER_HELP = (
    "Which runs, e.g. 'state:failed,blocked workflow:support created>-2d attr.customer=42'. Fields: state, workflow, "
    "version, id (its beginning), created, started, finished, cost (dollars), tokens, seconds, parent, trigger, queue, "
    "error, waiting (text in it), attr.NAME; compare with : = != < <= > >=; join with a blank (and), or, not, ()."
)
"""What the help says about filters."""

OneRun = Annotated[str | None, typer.Argument(metavar="[RUN]", help="The run's id; or many with --filter.")]
ManyRuns = Annotated[str | None, typer.Option("--filter", help=f"All runs that match. {FILTER_HELP}")]
Unasked = Annotated[bool, typer.Option("--yes", "-y", help="With --filter: do not ask first.")]

_PARTICIPLES = {"cancel": "cancelled", "pause": "paused", "resume": "resumed", "retry": "retried"}
_STOPPED = "interrupted. What was asked of runs so far stands; the same command goes on with the others."


def control(
    verb_name: str,
    run_id: str | None,
    filter: str | None,
    database: Path,
    tenant: str,
    *,
    unasked: bool,
    as_json: bool,
) -> None:
    """Do what `verb_name` stands for to one run, or to all that match; raises `InvalidInput` for both or neither."""
    if run_id is not None and filter is None:
        _do_to_one(verb_name, run_id, database, tenant, as_json=as_json)
    elif filter is not None and run_id is None:
        _do_to_all(verb_name, filter, database, tenant, unasked=unasked, as_json=as_json)
    else:
        raise InvalidInput("name one run, or many with --filter; not both.")


def _do_to_one(verb_name: str, run_id: str, database: Path, tenant: str, *, as_json: bool) -> None:
    from podium.app.bulk import BULK_VERBS
    from podium.app.database import open_database

    async def ask() -> tuple[Run, bool]:
        async with open_database(database, tenant) as opened:
            run = await opened.runs.get(run_id)
            await BULK_VERBS[verb_name].act(opened.runs, run.id)
            return run, opened.is_owned()

    run, is_owned = wait_for(ask)
    done = _PARTICIPLES[verb_name]
    if as_json:
        print_json({"run": run.id, "state": run.state, verb_name: "requested"})
    elif is_owned:
        console().print(Text(f"Run {plain(run.id)} is being {done}."))
    else:
        console().print(
            Text(f"Run {plain(run.id)} will be {done} as soon as a process works on this database.")
        )


def _do_to_all(
    verb_name: str, filter: str, database: Path, tenant: str, *, unasked: bool, as_json: bool
) -> None:
    from podium.app.bulk import BULK_VERBS, bulk_filter, for_all
    from podium.app.database import open_database

    if not filter.strip():
        raise InvalidInput("an empty filter would mean every run; say which, e.g. --filter 'state:waiting'.")
    verb = BULK_VERBS[verb_name]
    wanted = bulk_filter(verb, filter)

    async def count() -> int:
        async with open_database(database, tenant) as opened:
            return await opened.runs.count(wanted)

    expected = wait_for(count)
    if expected and not unasked:
        _ask(f"{verb.name.capitalize()} {_runs(expected)} matching {plain(filter, 200)!r}?")

    async def act() -> tuple[BulkResult, bool]:
        err = Console(stderr=True, highlight=False)
        showing = err.status("") if on_terminal() and not as_json else None

        def say(result: BulkResult) -> None:
            if showing is not None:
                showing.update(Text(f"{verb.name}: {result.done + result.left_alone:,} of {expected:,}"))

        async with open_database(database, tenant) as opened:
            with showing or nullcontext():
                return await for_all(opened.runs, verb, wanted, say), opened.is_owned()

    result, is_owned = wait_for(act, _STOPPED)
    if as_json:
        print_json(result)
    else:
        _print(result, is_owned=is_owned)


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(f"{question} Nobody is there to answer; say --yes to do it unasked.")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise Interrupted("nothing was done.")


def _print(result: BulkResult, *, is_owned: bool) -> None:
    out = console()
    if not result.done and not result.left_alone:
        out.print(f"No run matches that takes {result.verb}.")
        return
    when = "" if is_owned else ", which happens as soon as a process works on this database"
    out.print(Text(f"Asked {_runs(result.done)} to {result.verb}{when}."))
    if result.left_alone:
        out.print(Text(f"{_runs(result.left_alone).capitalize()} had changed meanwhile and were left alone:"))
        for reason in result.reasons.values():
            out.print(Text(f"  {plain(reason, 200)}", style="dim"))


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"
