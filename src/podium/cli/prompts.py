"""`podium prompts`: list, show, diff; of a database, or of a file without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.table import Table
from rich.text import Text

from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, help_without_command
from podium.cli.output import console, harmless, plain, print_json, shown_time
from podium.cli.waiting import wait_for

if TYPE_CHECKING:
    from podium.domain.prompts import PromptUse

app = typer.Typer(
    help="Look at prompts: which versions were used, what is in them, and how they differ.",
    epilog="Example: podium prompts list desk.py",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)
Reference = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="The beginning of a version will do.")
]
Source = Annotated[
    str | None, typer.Option("--file", metavar="FILE.py", help="Look into this file, and into no database.")
]


@app.command(
    name="list",
    epilog="Examples: podium prompts list · podium prompts list desk.py · podium prompts list --json",
)
def list_prompts(
    source: Annotated[
        str | None, typer.Argument(metavar="[FILE.py]", help="Look into this file, and into no database.")
    ] = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """List prompts with the versions that were used, the latest first, or those that a file defines."""
    found = _known(database, source)
    if as_json:
        print_json([_as_json(use) for use in found])
        return
    if not found:
        console().print("No prompts.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("prompt", "version", "uses", "first used", "last used", "template"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for use in found:
        table.add_row(
            Text(plain(use.prompt.name)),
            use.prompt.version,
            f"{use.uses:,}",
            shown_time(use.first_used),
            shown_time(use.last_used),
            Text(plain(use.prompt.template, 60)),
        )
    console().print(table)


@app.command(epilog="Examples: podium prompts show classify · podium prompts show classify@3f9c --json")
def show(
    reference: Reference,
    source: Source = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """Show a prompt: template, system text, schema and policy; without a version the one that was used last."""
    from podium.app.prompts import found_in

    use = found_in(_known(database, source), reference)
    if as_json:
        print_json(_as_json(use))
        return
    prompt, out = use.prompt, console()
    out.print(Text(prompt.reference))
    if use.uses:
        out.print(f"used {use.uses:,} times, {shown_time(use.first_used)} to {shown_time(use.last_used)} UTC")
    for part, text in (
        ("template", prompt.template),
        ("system", prompt.system),
        ("schema", prompt.schema and _indented(prompt.schema)),
        ("policy", _indented(prompt.policy)),
    ):
        if text is not None:
            out.print(Text(f"\n{part}:\n{harmless(text)}"))


@app.command(epilog="Examples: podium prompts diff classify@3f9c classify@a1b2")
def diff(
    before: Reference,
    after: Reference,
    source: Source = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """Show what changed from one version to another, as a unified diff."""
    from podium.app.prompts import difference, found_in

    known = _known(database, source)
    old, new = found_in(known, before).prompt, found_in(known, after).prompt
    changed = difference(old, new)
    if as_json:
        print_json({"before": old.reference, "after": new.reference, "diff": changed})
        return
    console().print(Text(harmless(changed)) if changed else "They are the same.")


def _known(database: Path, source: str | None) -> Sequence[PromptUse]:
    if source is not None:
        from podium.app.prompts import in_file
        from podium.app.workflow_file import load_prompts

        return in_file(load_prompts(source))
    return wait_for(lambda: _stored(database))


async def _stored(database: Path) -> Sequence[PromptUse]:
    from podium.app.database import open_database

    async with open_database(database) as opened:
        return await opened.prompts.list()


def _indented(text: str) -> str:
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()


def _as_json(use: PromptUse) -> dict[str, Any]:
    prompt = use.prompt
    return {
        "name": prompt.name,
        "version": prompt.version,
        "template": prompt.template,
        "system": prompt.system,
        "schema": prompt.schema and orjson.loads(prompt.schema),
        "policy": orjson.loads(prompt.policy),
        "uses": use.uses,
        "first_used": use.first_used,
        "last_used": use.last_used,
        "tenant": use.tenant,
    }
