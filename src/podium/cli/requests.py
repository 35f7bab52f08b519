"""`podium requests`: list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Tenant, help_without_command
from podium.cli.output import console, plain, print_json, shown_seconds, shown_time
from podium.cli.waiting import wait_for
from podium.domain.requests import ServedRequest
from podium.domain.runs import DEFAULT_TENANT

app = typer.Typer(
    help="Look at what the server has answered: who asked which model, and what it took.",
    epilog="Example: podium requests list --key website --failed",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.command(
    name="list", epilog="Examples: podium requests list · podium requests list --key website --failed --json"
)
def list_requests(
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    key: Annotated[str | None, typer.Option(help="Only those of this key.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List requests: key, model, lane, status, tokens, cost, latency. What was said is not kept."""
    found = wait_for(lambda: _list(database, tenant, key, limit, failed=failed))
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("No requests.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in (
        "at",
        "key",
        "route",
        "model",
        "lane",
        "status",
        "tokens",
        "cost",
        "took",
        "first",
        "error",
    ):
        table.add_column(heading, overflow="ellipsis")
    for served in found:
        table.add_row(
            shown_time(served.at),
            Text(plain(served.key or "-")),
            Text(plain(served.route)),
            Text(plain(served.model, 60)),
            Text(served.lane),
            str(served.status or "-"),
            f"{served.usage.input_tokens}+{served.usage.output_tokens}",
            "-" if served.cost is None else str(served.cost),
            shown_seconds(served.latency),
            shown_seconds(served.first_token),
            Text(plain(served.error or "")),
        )
    console().print(table)


async def _list(
    database: Path, tenant: str, key: str | None, limit: int, *, failed: bool
) -> Sequence[ServedRequest]:
    from podium.app.database import open_database

    async with open_database(database, tenant) as opened:
        return await opened.requests.list(limit=limit, key=key, failed=failed)
