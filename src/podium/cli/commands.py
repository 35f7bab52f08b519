"""The parts of the `podium` command, and how whatever goes wrong in them becomes one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from typing import Annotated

import typer

from podium.cli import (
    budgets,
    check,
    controls,
    emit,
    gateway,
    keys,
    maintain,
    prompts,
    queues,
    requests,
    reviews,
    run,
    runs,
    serve,
    triggers,
    worker,
)
from podium.cli.exits import EXIT_CODES, Exit, Interrupted, complain, exit_code
from podium.cli.options import help_without_command
from podium.cli.output import ReaderGone, plain
from podium.domain.errors import PodiumError

DEBUG_VARIABLE = "PODIUM_DEBUG"
"""Set to anything, it adds tracebacks and logs to standard error."""

app = typer.Typer(
    name="podium",
    help="Durable AI workflows, checked answers, people in the loop.",
    epilog=f"Example: podium run desk.py:support --each tickets.jsonl --id-field id. {EXIT_CODES}",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(name="run", help=run.HELP, epilog=run.EXAMPLES)(run.run)
app.command(name="worker", help=worker.HELP, epilog=worker.EXAMPLES)(worker.work)
app.command(name="serve", help=serve.HELP, epilog=serve.EXAMPLES)(serve.serve)
app.command(name="emit", epilog=emit.EXAMPLES)(emit.emit_event)
controls.register(runs.app)
app.add_typer(runs.app, name="runs")
app.add_typer(triggers.app, name="triggers")
app.add_typer(reviews.app, name="reviews")
app.command(name="check", epilog=check.EXAMPLES)(check.check)
app.command(name="maintain", epilog=maintain.EXAMPLES)(maintain.maintain)
app.add_typer(queues.app, name="queues")
app.add_typer(gateway.app, name="gateway")
app.add_typer(budgets.app, name="budgets")
app.add_typer(prompts.app, name="prompts")
app.add_typer(keys.app, name="keys")
app.add_typer(requests.app, name="requests")


def _version(asked: bool) -> None:
    if asked:
        from podium import __version__

        typer.echo(f"podium {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    del version
    help_without_command(context)


def call() -> int:
    """Run the command that the arguments of this process name, and return its exit code."""
    debug = bool(os.environ.get(DEBUG_VARIABLE))
    _set_up(debug=debug)
    try:
        return int(app(standalone_mode=False) or Exit.OK)
    except ReaderGone:
        return Exit.OK
    except Interrupted as interrupted:
        if str(interrupted):
            complain(interrupted)
        return Exit.INTERRUPTED
    except typer.TyperException as error:
        complain(_usage(error))
        return Exit.INVALID
    except PodiumError as error:
        _trace(debug=debug)
        complain(error)
        return exit_code(error)
    except Exception as error:  # noqa: BLE001 - the last word on what nobody foresaw
        _trace(debug=debug)
        said = plain(error, 300).rstrip(".") or "no message"
        hint = "" if debug else f" Set {DEBUG_VARIABLE}=1 to see the traceback."
        complain(
            f"unexpected {type(error).__name__}: {said}. This is a fault in Podium; please report it.{hint}"
        )
        return Exit.INTERNAL


def _usage(error: typer.TyperException) -> str:
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{said}. See `{context.command_path if context is not None else 'podium'} --help`."


def _set_up(*, debug: bool) -> None:
    if sys.stdout is None:
        # Closed by whoever called: what would be said is said to nobody, and the work is done all the same.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open as long as the process
    for stream in (sys.stdout, sys.stderr):
        # What the terminal's encoding cannot show is spelled out instead of failing.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if debug:
        logging.basicConfig(level=logging.INFO)
        return
    # What libraries have to say is for developers; what concerns the user is raised.
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _trace(*, debug: bool) -> None:
    if debug:
        traceback.print_exc()
