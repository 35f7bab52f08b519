"""The `podium` command: its parts, and how errors become one line and an exit code."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Annotated

import typer

from podium.cli import reviews, run, runs
from podium.cli.output import plain
from podium.domain.errors import (
    CredentialMissing,
    PodiumError,
    StorageUnavailable,
    UnknownReview,
    UnknownRun,
)


class Exit(IntEnum):
    """Exit codes: what went wrong, for scripts."""

    OK = 0
    RUN_FAILED = 1
    INVALID = 2
    STORAGE = 3
    CREDENTIAL = 4
    NOT_FOUND = 5
    INTERRUPTED = 130


app = typer.Typer(
    name="podium",
    help="Durable AI workflows, checked answers, people in the loop.",
    epilog=(
        "Exit codes: 0 done · 1 a run failed or is blocked · 2 the input cannot be used · 3 the database cannot be "
        "used · 4 a model's key is missing · 5 no such run or review · 130 interrupted (run again to go on)."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(name="run", help=run.HELP, epilog=run.EXAMPLES)(run.run)
app.add_typer(runs.app, name="runs")
app.add_typer(reviews.app, name="reviews")


def _version(asked: bool) -> None:
    if asked:
        from podium import __version__

        typer.echo(f"podium {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command; every expected error is one line on standard error and a meaningful exit code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(Exit.OK)
    except PodiumError as error:
        typer.echo(f"podium: {plain(error)}", err=True)
        sys.exit(exit_code(error))


def exit_code(error: PodiumError) -> Exit:
    """Return the exit code for an error."""
    match error:
        case StorageUnavailable():
            return Exit.STORAGE
        case CredentialMissing():
            return Exit.CREDENTIAL
        case UnknownRun() | UnknownReview():
            return Exit.NOT_FOUND
        case _:
            return Exit.INVALID
