"""`podium run`: one run, or a job of one run a line."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.text import Text

from podium.cli.exits import Exit, complain
from podium.cli.job import run_job
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Models, Tenant, database_hint, program
from podium.cli.output import console, harmless, plain, print_json
from podium.cli.waiting import wait_for
from podium.domain.errors import InvalidInput
from podium.domain.ids import RunId, checked_run_id, checked_tenant, new_run_id
from podium.domain.runs import DEFAULT_TENANT
from podium.domain.states import RunState

if TYPE_CHECKING:
    from podium.app.workflow_file import WorkflowFile
    from podium.domain.runs import Run
    from podium.flow.workflows import Workflow
    from podium.settings import Settings

HELP = (
    "Run a workflow: once with --input, or once for each line of a file with --each. Durable: what is finished is "
    "never repeated, what was interrupted goes on when the same command is run again. A line of the file that cannot "
    "be used is reported with its number, and the others are worked on; the exit code is 0 when every run "
    "completed or waits for a person, 1 when a run failed, is blocked or was cancelled, or a line is broken. "
    "FILE.py may hold `settings = Settings(...)`; options stand over it."
)
EXAMPLES = (
    'Examples: podium run desk.py:support --input \'{"text": "refund??"}\' · podium run desk.py:support --input '
    "@ticket.json --id ticket-42 · podium run desk.py:support --each tickets.jsonl --id-field id · podium run "
    "desk.py:support --each tickets.jsonl --model anthropic:claude-haiku-4-5"
)
_AT_ONCE = 4
_GOES_ON = "interrupted. What is finished is kept; the same command{} goes on from here."


def run(
    target: Annotated[
        str, typer.Argument(metavar="FILE.py:WORKFLOW", help="The file and the workflow in it.")
    ],
    given: Annotated[
        str | None, typer.Option("--input", help="The input as JSON; @FILE reads it from a file.")
    ] = None,
    each: Annotated[Path | None, typer.Option(help="A JSON Lines file: one run for each line.")] = None,
    id_field: Annotated[
        str | None,
        typer.Option(
            help="With --each: the field whose value names the run; otherwise the line's content does."
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--id", help="Without --each: the run's id; the same id again is the same run."),
    ] = None,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    model: Models = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="With --each: runs at work at once.",
            show_default="4, or what FILE's settings say",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Put an existing database aside, which keeps it, and start over.")
    ] = False,
    fresh_also: Annotated[
        list[Path] | None,
        typer.Option(help="With --fresh: put this file aside as well (an outbox, say); may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a workflow durably: what is finished is never repeated, what was interrupted goes on."""
    from podium.app.models import check_models
    from podium.app.settings import with_concurrency, with_models
    from podium.app.workflow_file import load_workflow

    _check_options(given, each, id_field, run_id)
    checked_tenant(tenant)
    loaded = load_workflow(target)
    settings = with_models(loaded.settings, model)
    if each is not None:
        settings = with_concurrency(settings, concurrency, _AT_ONCE)
    check_models(loaded.prompts, settings, os.environ)
    farewell = _GOES_ON.format(" without --fresh" if fresh else "")
    if each is not None:
        _check_readable(each)
        _start_over(database, fresh_also or [], wanted=fresh, as_json=as_json)
        job = partial(
            run_job, loaded, each, id_field, database, tenant, settings, as_json=as_json, farewell=farewell
        )
        code = wait_for(job, farewell)
    else:
        name = new_run_id() if run_id is None else checked_run_id(run_id)
        encoded = _input(given, loaded.chosen)
        _start_over(database, fresh_also or [], wanted=fresh, as_json=as_json)
        ended = wait_for(
            lambda: _run_once(loaded, encoded, name, database, tenant, settings),
            farewell if run_id else _unnamed(name),
        )
        code = _report(ended, database, as_json=as_json)
    raise typer.Exit(code)


def _check_options(given: str | None, each: Path | None, id_field: str | None, run_id: str | None) -> None:
    if given is not None and each is not None:
        raise InvalidInput("--input and --each exclude each other: one run, or one for each line.")
    if run_id is not None and each is not None:
        raise InvalidInput("--id names one run; with --each, --id-field names the field that holds each id.")
    if id_field is not None and each is None:
        raise InvalidInput("--id-field goes with --each; --id names a single run.")


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error


def _input(given: str | None, workflow: Workflow[Any, Any]) -> bytes:
    from podium.app.given import given_bytes

    if given is None:
        if workflow.signature.required:
            names = ", ".join(workflow.signature.names)
            raise InvalidInput(
                f"workflow {workflow.name!r} takes an input ({names}): give it with --input, or many with --each."
            )
        return workflow.encode_input((), {})
    return workflow.parse_input(given_bytes(given))


def _start_over(database: Path, also: list[Path], *, wanted: bool, as_json: bool) -> None:
    from podium.app.fresh import put_aside

    moved = wait_for(lambda: put_aside(database, also)) if wanted else None
    if moved is not None and not as_json:
        console().print(Text(f"The earlier database is now {plain(moved)}.", style="dim"))


def _unnamed(name: RunId) -> str:
    return _GOES_ON.format(f" with --id {name}")


async def _run_once(
    loaded: WorkflowFile, encoded: bytes, name: RunId, database: Path, tenant: str, settings: Settings
) -> Run:
    from podium.app.podium import Podium

    async with Podium(
        database,
        workflows=loaded.workflows,
        queues=loaded.queues,
        budgets=loaded.budgets,
        settings=settings,
        source=loaded.source,
        only=name,
    ) as app:
        stored, _ = await app.submit(loaded.chosen, encoded, name, tenant=tenant)
        if stored.input != encoded:
            complain(
                f"run {name} exists with another input, which stands; give another --id to run this one."
            )
        await app.idle()
        return await app.for_tenant(tenant).runs.get(name)


def _report(run: Run, database: Path, *, as_json: bool) -> Exit:
    if as_json:
        print_json(run)
    else:
        _print_end(run, database)
    return Exit.OK if run.state in (RunState.COMPLETED, RunState.WAITING) else Exit.NOT_ALL_WELL


def _print_end(run: Run, database: Path) -> None:
    out = console()
    hint = database_hint(database, run.tenant)
    match run.state:
        case RunState.COMPLETED:
            value: Any = orjson.loads(run.output or b"null")
            shown = (
                value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
            )
            out.print(Text(harmless(shown)))
        case RunState.WAITING:
            out.print(Text(f"Run {plain(run.id)} waits for {plain(run.waiting_on)}."))
            out.print(Text(f"See {program()} {_whose_move(run)}{hint}", style="dim"))
        case _:
            why = (
                plain(f"{run.error.type}: {run.error.message}")
                if run.error is not None
                else "no reason is recorded"
            )
            state = "is blocked" if run.state is RunState.BLOCKED else run.state
            out.print(Text(f"Run {plain(run.id)} {state}: {why}", style="red"))
            out.print(Text(f"See {program()} runs show {plain(shlex.quote(run.id))}{hint}", style="dim"))


def _whose_move(run: Run) -> str:
    """Return the command by which what `run` waits for comes, or is looked at."""
    awaited = (run.waiting_on or "").split(", ")
    if any(one.startswith("review ") for one in awaited):
        return "reviews list"
    name = plain(shlex.quote(run.id))
    for one in awaited:
        if one.startswith("event "):
            return f"runs send-event {name} {plain(shlex.quote(one.removeprefix('event ')))} JSON"
        if one.startswith("child run "):
            return f"runs show {plain(shlex.quote(one.removeprefix('child run ')))}"
    return f"runs show {name}"
