"""`podium emit`: an event for runs or triggers, from outside."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from podium.cli.given import json_given
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Tenant
from podium.cli.output import console, plain, print_json
from podium.cli.waiting import wait_for
from podium.domain.runs import DEFAULT_TENANT
from podium.domain.triggers import Emission

EXAMPLES = (
    "Examples: podium emit order.paid '{\"order\": 42}' · podium emit order.paid @order.json --dedupe order-42 · "
    "podium emit approved true --to ticket-007"
)


def emit_event(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The event's name.")],
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="What it says; @FILE reads a file.")
    ] = "null",
    to: Annotated[list[str] | None, typer.Option(help="Into the inbox of this run; may be repeated.")] = None,
    dedupe: Annotated[
        str | None, typer.Option(help="The event's own key: emitted again, it is the same event.")
    ] = None,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Emit an event: to runs with --to, otherwise to every trigger that listens for its name."""
    from podium.app.database import open_database
    from podium.flow.emit import emission_of

    emission = emission_of(name, json_given(payload), to, dedupe)

    async def emit() -> tuple[bool, bool]:
        async with open_database(database) as opened:
            return await opened.triggers.emit(emission, tenant), opened.is_owned()

    is_new, is_owned = wait_for(emit)
    if as_json:
        print_json({"event": name, "to": list(emission.to), "new": is_new})
    else:
        console().print(Text(_told(emission, is_new=is_new, is_owned=is_owned)))


def _told(emission: Emission, *, is_new: bool, is_owned: bool) -> str:
    event = f"Event {plain(emission.name)}"
    if not is_new:
        return f"{event} was emitted before with that key; nothing is emitted again."
    if emission.to:
        later = "" if is_owned else " as soon as a process works on this database"
        return f"{event} reaches {plain(', '.join(emission.to), 200)}{later}."
    if is_owned:
        return f"{event} is emitted."
    return f"{event} is kept until a process with triggers works on this database."
