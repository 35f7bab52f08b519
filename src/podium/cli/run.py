"""`podium run`: one run, or a job of one run a line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.text import Text

from podium.cli.job import run_job
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, database_hint, program, wait_for
from podium.cli.output import console, harmless, plain, print_json
from podium.domain.errors import InvalidInput
from podium.domain.ids import checked_run_id, new_run_id
from podium.domain.states import RunState

if TYPE_CHECKING:
    from podium.app.workflow_file import WorkflowFile
    from podium.domain.runs import Run
    from podium.settings import Settings

HELP = "Run a workflow: once with --input, or once for each line of a file with --each."
EXAMPLES = (
    'Examples: podium run desk.py:support --input \'{"text": "refund??"}\' · podium run desk.py:support --input '
    "@ticket.json --id ticket-42 · podium run desk.py:support --each tickets.jsonl --id-field id · podium run "
    "desk.py:support --each tickets.jsonl --model anthropic:claude-haiku-4-5"
)


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
        str | None, typer.Option("--id", help="The run's id; the same id again is the same run.")
    ] = None,
    database: Database = DEFAULT_DATABASE,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Use this model (provider:name) in place of every prompt's own; may be repeated."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=10_000, help="With --each: runs at work at once.")
    ] = 4,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Put an existing database aside and start over.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a workflow durably: what is finished is never repeated, what was interrupted goes on."""
    from podium.app.models import check_models
    from podium.app.workflow_file import load_workflow
    from podium.settings import EngineSettings, GatewaySettings, Settings

    if given is not None and each is not None:
        raise InvalidInput("--input and --each exclude each other: one run, or one for each line.")
    loaded = load_workflow(target)
    settings = Settings(
        engine=EngineSettings(max_active_runs=concurrency if each is not None else 1000),
        gateway=GatewaySettings(override=tuple(model or ())),
    )
    check_models(loaded.prompts, settings.gateway, os.environ)
    if fresh:
        from podium.app.fresh import put_aside

        moved = put_aside(database)
        if moved is not None and not as_json:
            console().print(Text(f"The earlier database is now {moved}.", style="dim"))
    if each is not None:
        code = wait_for(lambda: run_job(loaded, each, id_field, database, settings, as_json=as_json))
    else:
        code = wait_for(lambda: _run_once(loaded, _input(given), run_id, database, settings, as_json=as_json))
    raise typer.Exit(code)


def _input(given: str | None) -> bytes:
    if given is None:
        return b"{}"
    if not given.startswith("@"):
        return given.encode("utf-8", "surrogateescape")
    path = Path(given[1:])
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error


async def _run_once(
    loaded: WorkflowFile,
    given: bytes,
    run_id: str | None,
    database: Path,
    settings: Settings,
    *,
    as_json: bool,
) -> int:
    from podium.app.podium import Podium

    encoded = loaded.chosen.parse_input(given)
    name = new_run_id() if run_id is None else checked_run_id(run_id)
    source, workflows = loaded.source, loaded.workflows
    async with Podium(database, workflows=workflows, settings=settings, source=source, only=name) as app:
        await app.submit(loaded.chosen, encoded, name)
        await app.idle()
        ended = await app.runs.get(name)
    if as_json:
        print_json(ended)
    else:
        _print_end(ended, database)
    return 1 if ended.state in (RunState.FAILED, RunState.BLOCKED, RunState.CANCELLED) else 0


def _print_end(run: Run, database: Path) -> None:
    out = console()
    hint = database_hint(database)
    match run.state:
        case RunState.COMPLETED:
            value: Any = orjson.loads(run.output or b"null")
            shown = (
                value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
            )
            out.print(Text(harmless(shown)))
        case RunState.WAITING:
            out.print(Text(f"Run {plain(run.id)} waits for {plain(run.waiting_on)}."))
            out.print(Text(f"See {program()} reviews list{hint}", style="dim"))
        case _:
            why = plain(run.error.message) if run.error is not None else ""
            out.print(Text(f"Run {plain(run.id)} is {run.state}: {why}", style="red"))
            out.print(Text(f"See {program()} runs show {plain(run.id)}{hint}", style="dim"))
