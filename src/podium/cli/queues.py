"""`podium queues`: list."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, help_without_command
from podium.cli.output import console, plain, print_json, shown_time
from podium.cli.waiting import wait_for
from podium.domain.queues import Queue

if TYPE_CHECKING:
    from podium.app.queues import QueueStatus

app = typer.Typer(
    help="Look at queues: how long they are, their limits, and why nothing moves.",
    epilog="Example: podium queues list",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)
_DAY = 86_400


@app.command(name="list", epilog="Examples: podium queues list · podium queues list --json")
def list_queues(database: Database = DEFAULT_DATABASE, as_json: AsJson = False) -> None:
    """List queues: pending, running and waiting runs, limits, why no pending run begins, and when one may."""
    found, is_owned = wait_for(lambda: _list(database))
    if as_json:
        print_json([_as_json(status, is_owned=is_owned) for status in found])
        return
    if not found:
        console().print("No queues.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("queue", "pending", "running", "waiting", "limits", "why nothing moves"):
        table.add_column(heading, overflow="fold" if heading == "queue" else "ellipsis")
    for status in found:
        table.add_row(
            Text(plain(status.name)),
            str(status.depth),
            str(status.running),
            str(status.waiting),
            Text(plain(_limits(status.limits))),
            Text(plain(_reason(status, is_owned=is_owned))),
        )
    console().print(table)


async def _list(database: Path) -> tuple[Sequence[QueueStatus], bool]:
    from podium.app.database import open_database

    async with open_database(database) as opened:
        return await opened.queues.list(), opened.is_owned()


def _limits(queue: Queue | None) -> str:
    if queue is None:
        return "-"
    said = [
        None if queue.concurrency is None else f"{queue.concurrency} at once",
        None if queue.rate is None else str(queue.rate),
        None if queue.budget is None else str(queue.budget),
        None if queue.max_depth is None else f"{queue.max_depth} pending",
        None if queue.fair else "tenants by age",
    ]
    return ", ".join(limit for limit in said if limit is not None) or "none"


def _reason(status: QueueStatus, *, is_owned: bool) -> str:
    if status.depth and not is_owned:
        return "no process works on this database"
    if status.reason is None:
        return ""
    if status.next_at is None:
        return status.reason
    now = time.time()
    # The date, and the seconds, only where they tell something.
    day, clock = shown_time(status.next_at).split()
    far, near = status.next_at - now >= _DAY, status.next_at - now < 600
    at = f"{day} {clock[:5]}" if far else clock if near else clock[:5]
    return f"{status.reason}; next at about {at} UTC"


def _as_json(status: QueueStatus, *, is_owned: bool) -> dict[str, Any]:
    limits = status.limits
    return {
        "queue": status.name,
        "pending": status.depth,
        "running": status.running,
        "waiting": status.waiting,
        "limits": limits
        and {
            "concurrency": limits.concurrency,
            "rate": limits.rate and str(limits.rate),
            "budget": limits.budget and str(limits.budget),
            "max_depth": limits.max_depth,
            "fair": limits.fair,
            "counts_waiting": limits.counts_waiting,
        },
        "reason": _reason(status, is_owned=is_owned) or None,
        "next_at": status.next_at,
    }
