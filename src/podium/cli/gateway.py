"""`podium gateway`: status."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, help_without_command
from podium.cli.output import console, jsonable, plain, print_json, shown_due, shown_seconds, shown_time
from podium.cli.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.domain.gateway_status import GatewayStatus, LaneStatus, LimitStatus

app = typer.Typer(
    help="Look at the model gateway: breakers, retry budgets and limits.",
    epilog="Example: podium gateway status",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.command(epilog="Examples: podium gateway status · podium gateway status --json")
def status(database: Database = DEFAULT_DATABASE, as_json: AsJson = False) -> None:
    """Show how the process that works on this database, and each that serves, stands with the models.

    Credentials are named by their environment variables. What is shown is at most ten seconds old while models are
    called, breakers at most one; of a process that has ended it is how it ended, of a server that has, nothing.
    """
    found, servers, is_owned = wait_for(lambda: _status(database))
    if as_json:
        shown = {} if found is None else {**jsonable(found), "is_owned": is_owned}
        print_json({**shown, "servers": jsonable(servers)} if found or servers else None)
        return
    if found is None and not servers:
        console().print("No model has been called yet.")
        return
    if found is not None:
        _show(
            found, f"process {found.pid}" + ("" if is_owned else ", or one before it; none works on it now")
        )
    for server in servers:
        _show(server, f"process {server.pid}, which serves")


def _show(found: GatewayStatus, whose: str) -> None:
    console().print(Text(plain(f"As of {shown_time(found.at)} UTC, {whose}")))
    _print(
        ("provider", "model", "credential", "breaker", "probe", "failed", "on the way", "median", "why"),
        [_lane(lane) for lane in found.lanes],
    )
    _print(
        ("provider", "model", "retry budget", "requests/min", "retries/min"),
        [
            (each.provider, each.model, f"{each.left}/{each.capacity}", each.requests, each.retries)
            for each in found.budgets
        ],
    )
    _print(
        ("limits of", "requests left", "tokens left", "on the way"), [_limit(each) for each in found.limits]
    )


async def _status(database: Path) -> tuple[GatewayStatus | None, Sequence[GatewayStatus], bool]:
    from podium.app.database import open_database

    async with open_database(database) as opened:
        return await opened.gateway.status(), await opened.gateway.servers(), opened.is_owned()


def _print(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console().print()
    console().print(table)


def _lane(lane: LaneStatus) -> tuple[Any, ...]:
    due = lane.opens_at is not None and lane.opens_at > time.time()
    probe = "-" if lane.opens_at is None else shown_due(lane.opens_at) if due else "with the next call"
    return (
        lane.provider,
        lane.model,
        lane.credential or "-",
        lane.breaker.replace("_", " "),
        probe,
        f"{lane.failures:.0%}",
        lane.on_the_way,
        shown_seconds(lane.latency or None),
        lane.reason,
    )


def _limit(limit: LimitStatus) -> tuple[Any, ...]:
    def left(share: float | None, whole: int | None) -> str:
        return "-" if share is None else f"{max(share, 0):.0f}/{whole}"

    return (
        limit.scope,
        left(limit.requests_left, limit.requests),
        left(limit.tokens_left, limit.tokens),
        "-" if limit.concurrency is None else f"{limit.on_the_way}/{limit.concurrency}",
    )
