"""Options that several commands share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")

DATABASE_VARIABLE = "PODIUM_DATABASE"

Database = Annotated[
    Path,
    typer.Option("--db", envvar=DATABASE_VARIABLE, help="The database file.", show_default=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

DEFAULT_DATABASE = Path("podium.db")


def wait_for(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a new event loop."""
    return asyncio.run(work())


def program() -> str:
    """Return how this program was called, for hints that can be typed."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m podium.cli"
    on_path = any(Path(folder) / called.name == called for folder in os.get_exec_path())
    return called.name if on_path else os.path.relpath(called)


def database_hint(database: Path) -> str:
    """Return the `--db` option that hints need, or nothing for the default database."""
    return "" if database == DEFAULT_DATABASE else f" --db {database}"
