"""`podium keys`: create, list, revoke."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from podium.cli.exits import complain
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Tenant, help_without_command
from podium.cli.output import console, plain, print_json, shown_time
from podium.cli.waiting import wait_for
from podium.domain.budgets import Budget
from podium.domain.keys import ApiKey, KeyLimits
from podium.domain.money import Money
from podium.domain.runs import DEFAULT_TENANT

if TYPE_CHECKING:
    from podium.ports.budgets import BudgetUse

app = typer.Typer(
    help="Keys to the server: who may call it, which models, and how much of them.",
    epilog="Example: podium keys create website --budget '$5/day' --rpm 60 --models 'openai:*'",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.command(
    epilog="Examples: podium keys create website --budget '$5/day' --rpm 60 · "
    "podium keys create acme-1 --tenant acme · podium keys create batch --tpm 200000 --concurrency 4 --models 'openai:*' --models fast"
)
def create(
    name: Annotated[str, typer.Argument(help="What the key is called.")],
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    budget: Annotated[
        str | None, typer.Option(help="What it may spend in each period: '$5/day', '200k tokens/h'.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests in each minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens in each minute.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests at work at once, in each process.")
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option(help="Models it may use, such as 'openai:*'; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show its token, this once: it is not kept."""
    limits = KeyLimits(
        rpm, tpm, concurrency, Budget.parse(budget) if budget else None, tuple(models or ("*",))
    )
    key, token = wait_for(lambda: _create(database, tenant, name, limits))
    if as_json:
        print_json({**_as_json(key, ()), "token": token})
        return
    console().print(Text(token))
    complain(f"key {key.name} made. This is the only time that its token is shown.")


@app.command(name="list", epilog="Examples: podium keys list · podium keys list --json")
def list_keys(
    database: Database = DEFAULT_DATABASE, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False
) -> None:
    """List keys: limits, what is taken of a budget in its present period, and whether they are revoked.

    `podium budgets list` shows what is spent of each limit, and what of that is only set aside.
    """
    found, used = wait_for(lambda: _list(database, tenant))
    if as_json:
        print_json([_as_json(key, used) for key in found])
        return
    if not found:
        console().print("No keys.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("key", "token", "models", "limits", "taken", "made", "revoked"):
        table.add_column(heading, overflow="fold" if heading == "key" else "ellipsis")
    for key in found:
        budget = key.limits.budget
        taken = _taken(key, used)
        shown = (
            "-" if budget is None else str(Money(taken)) if isinstance(budget.amount, Money) else f"{taken:,}"
        )
        table.add_row(
            Text(plain(key.name)),
            Text(f"{plain(key.prefix)}…"),
            Text(plain(", ".join(key.limits.models))),
            Text(_limits(key.limits)),
            shown,
            shown_time(key.created_at),
            shown_time(key.revoked_at),
        )
    console().print(table)


@app.command(epilog="Examples: podium keys revoke website · podium keys revoke sk-podium-a1B2c3")
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name, or how its token begins.")],
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: servers refuse it within a second, and it cannot be brought back."""
    key = wait_for(lambda: _revoke(database, tenant, name))
    if as_json:
        print_json(_as_json(key, ()))
        return
    console().print(Text(f"Key {plain(key.name)} is revoked."))


async def _create(database: Path, tenant: str, name: str, limits: KeyLimits) -> tuple[ApiKey, str]:
    from podium.app.database import make_database, open_database

    await make_database(database)
    async with open_database(database, tenant) as opened:
        return await opened.keys.create(name, limits)


async def _list(database: Path, tenant: str) -> tuple[Sequence[ApiKey], Sequence[BudgetUse]]:
    from podium.app.database import open_database

    async with open_database(database, tenant) as opened:
        return await opened.keys.list(), await opened.budgets.list()


async def _revoke(database: Path, tenant: str, name: str) -> ApiKey:
    from podium.app.database import open_database

    async with open_database(database, tenant) as opened:
        return await opened.keys.revoke(name)


def _limits(limits: KeyLimits) -> str:
    said = [
        None if limits.budget is None else str(limits.budget),
        None if limits.requests is None else f"{limits.requests} requests/min",
        None if limits.tokens is None else f"{limits.tokens:,} tokens/min",
        None if limits.concurrency is None else f"{limits.concurrency} at once",
    ]
    return ", ".join(limit for limit in said if limit is not None) or "none"


def _taken(key: ApiKey, used: Sequence[BudgetUse]) -> int:
    if key.limits.budget is None:
        return 0
    name = key.budgets[-1].name
    own = (use for use in used if (use.key.tenant, use.key.subject) == (key.tenant, key.name))
    return next((use.spent + use.held for use in own if use.key.budget == name), 0)


def _as_json(key: ApiKey, used: Sequence[BudgetUse]) -> dict[str, Any]:
    limits, budget = key.limits, key.limits.budget
    taken: object = None
    if budget is not None:
        taken = Money(_taken(key, used)) if isinstance(budget.amount, Money) else _taken(key, used)
    return {
        "name": key.name,
        "tenant": key.tenant,
        "prefix": key.prefix,
        "models": limits.models,
        "requests_per_minute": limits.requests,
        "tokens_per_minute": limits.tokens,
        "concurrency": limits.concurrency,
        "budget": budget and str(budget),
        "taken": taken,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
