"""`podium budgets`: list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, help_without_command
from podium.cli.output import console, plain, print_json, shown_time
from podium.cli.waiting import wait_for
from podium.domain.budgets import Unit
from podium.domain.money import Money

if TYPE_CHECKING:
    from podium.ports.budgets import BudgetUse

app = typer.Typer(
    help="Look at budgets: what is spent of each, and when it begins anew.",
    epilog="Example: podium budgets list",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.command(name="list", epilog="Examples: podium budgets list · podium budgets list --json")
def list_budgets(database: Database = DEFAULT_DATABASE, as_json: AsJson = False) -> None:
    """List budgets of which something was spent in their present window.

    Held is what calls on their way have set aside, and what a process that was killed had set aside: it counts as
    spent until the window ends, because nobody knows whether it was.
    """
    found = wait_for(lambda: _list(database))
    if as_json:
        print_json([_as_json(use) for use in found])
        return
    if not found:
        console().print("Nothing has been spent of any budget.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("tenant", "for", "budget", "spent", "held", "left", "begins anew"):
        table.add_column(heading, overflow="fold" if heading == "for" else "ellipsis")
    for use in found:
        table.add_row(
            Text(plain(use.key.tenant)),
            Text(f"{use.scope} {plain(use.key.subject)}"),
            Text(plain(use.title)),
            _amount(use, use.spent),
            _amount(use, use.held),
            _amount(use, _left(use)),
            "never" if use.resets_at is None else shown_time(use.resets_at),
        )
    console().print(table)


async def _list(database: Path) -> Sequence[BudgetUse]:
    from podium.app.database import open_database

    async with open_database(database) as opened:
        return await opened.budgets.list()


def _left(use: BudgetUse) -> int:
    return max(use.limit - use.spent - use.held, 0)


def _amount(use: BudgetUse, amount: int) -> str:
    return str(Money(amount)) if use.unit is Unit.MONEY else f"{amount:,}"


def _as_json(use: BudgetUse) -> dict[str, Any]:
    is_money = use.unit is Unit.MONEY
    amounts = {"limit": use.limit, "spent": use.spent, "held": use.held, "left": _left(use)}
    return {
        "tenant": use.key.tenant,
        "scope": use.scope,
        "subject": use.key.subject,
        "budget": use.title,
        "unit": "usd" if is_money else use.unit,
        **{name: Money(amount) if is_money else amount for name, amount in amounts.items()},
        "resets_at": use.resets_at,
        "changed_at": use.at,
    }
