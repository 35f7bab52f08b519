"""Options that several commands share, and the hints that name them."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from podium.domain.runs import DEFAULT_TENANT

DATABASE_VARIABLE = "PODIUM_DATABASE"
TENANT_VARIABLE = "PODIUM_TENANT"

Database = Annotated[
    Path,
    typer.Option("--db", envvar=DATABASE_VARIABLE, help="The database file.", show_default=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="Use this model (provider:name) in place of every prompt's own; may be repeated."
    ),
]

Tenant = Annotated[
    str,
    typer.Option(
        "--tenant", envvar=TENANT_VARIABLE, help="On whose behalf: this tenant's, and nobody else's."
    ),
]

DEFAULT_DATABASE = Path("podium.db")


def help_without_command(context: typer.Context) -> None:
    """Print the help of a command that was called without one of its own commands, and end."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


def program() -> str:
    """Return how this program was called, for hints that can be typed."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m podium.cli"
    on_path = any(Path(folder) / called.name == called for folder in os.get_exec_path())
    return called.name if on_path else shlex.quote(os.path.relpath(called))


def database_hint(database: Path, tenant: str = DEFAULT_TENANT) -> str:
    """Return the `--db` and `--tenant` options that hints need, or nothing for the default ones."""
    of = "" if tenant == DEFAULT_TENANT else f" --tenant {shlex.quote(tenant)}"
    return of if database == DEFAULT_DATABASE else f" --db {shlex.quote(str(database))}{of}"
