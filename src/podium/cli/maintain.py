"""`podium maintain`: archive and delete finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from podium.cli.options import DEFAULT_DATABASE, AsJson, Database
from podium.cli.output import console, on_terminal, plain, print_json
from podium.cli.waiting import wait_for

if TYPE_CHECKING:
    from rich.status import Status

    from podium.app.maintenance import Maintained
    from podium.app.rounds import Round

EXAMPLES = (
    "Examples: podium maintain · podium maintain --dry-run --delete-after 30d · "
    "podium maintain --archive-after 1h --delete-after 30d --keep-failed 90d --workflow support · "
    "podium maintain --vacuum"
)
"""What the help shows."""

_FAREWELL = "interrupted. What was archived and deleted so far stands; nothing is half done."
# The owner's transactions come in between.
_SHARE = 0.5


def maintain(
    database: Database = DEFAULT_DATABASE,
    archive_after: Annotated[
        str, typer.Option(metavar="AGE", help="Archive journals of runs that ended so long ago, or `never`.")
    ] = "6h",
    delete_after: Annotated[
        str, typer.Option(metavar="AGE", help="Delete runs that ended so long ago: `30d`, or `never`.")
    ] = "never",
    keep_failed: Annotated[
        str | None, typer.Option(metavar="AGE", help="Delete failed runs at this age instead.")
    ] = None,
    keep_requests: Annotated[
        str,
        typer.Option(metavar="AGE", help="Delete rows of the server's log at this age: `90d`, or `never`."),
    ] = "never",
    workflow: Annotated[
        str | None, typer.Option(help="Only runs of this workflow, and their children.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many runs it would be.")] = False,
    vacuum: Annotated[
        bool,
        typer.Option(
            "--vacuum",
            help="Then shrink the file. Takes the file for itself, and up to twice its size on the disk.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Archive and delete finished runs, beside the process that owns the database or without one.

    Of the server's log of requests, rows that are older than --keep-requests are deleted, unless --workflow is given.
    """
    from podium.app.maintenance import maintain as look_after
    from podium.domain.retention import Retention
    from podium.settings import RetentionSettings

    policy = Retention(
        _age(archive_after), _age(delete_after), None if keep_failed is None else _age(keep_failed)
    )
    settings = RetentionSettings(default=policy, requests=_age(keep_requests), share=_SHARE)
    shown = console()
    with shown.status("looking …") if on_terminal() and not as_json else _Silent() as status:

        def tell(done: Round) -> None:
            if status is not None:
                _update(status, done)

        result = wait_for(
            lambda: look_after(
                database, settings, workflow=workflow, dry_run=dry_run, vacuumed=vacuum, tell=tell
            ),
            _FAREWELL,
        )
    if as_json:
        print_json(_as_data(result, dry_run=dry_run))
        return
    for line in _summary(result, dry_run=dry_run):
        shown.print(Text(plain(line)))


class _Silent:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _age(text: str) -> str | None:
    return None if text.strip().lower() == "never" else text


def _update(status: Status, done: Round) -> None:
    status.update(f"{done.deleted} runs deleted, {done.archived} archived, {done.values} long values removed")


def _summary(result: Maintained, *, dry_run: bool) -> list[str]:
    done, before, after = result.done, result.before, result.after
    if dry_run:
        more = f", and delete {done.requests} rows of the server's log" if done.requests else ""
        return [
            f"Would delete {_runs(done.deleted)} and archive {_runs(done.archived)}{more}. Nothing was changed.",
            f"The database fills {_bytes(before.used)} of a file of {_bytes(before.file)}.",
        ]
    deleted, archived = _runs(done.deleted), _runs(done.archived)
    did = f"Deleted {deleted} and archived {archived} ({done.entries} journal entries)"
    log = f" and {done.requests} rows of the server's log" if done.requests else ""
    size = f"The database filled {_bytes(before.used)} and now fills {_bytes(after.used)}"
    lines = [
        f"{did}; removed {done.values} long values, {done.forgotten} ended budget windows and old event keys{log}.",
        f"{size} of a file of {_bytes(after.file)}.",
    ]
    if after.free and not result.vacuumed:
        lines.append(
            f"{_bytes(after.free)} of the file are free for what comes; --vacuum gives them back to the system, "
            "which takes the file for itself."
        )
    return lines


def _as_data(result: Maintained, *, dry_run: bool) -> dict[str, object]:
    done = result.done
    return {
        "dry_run": dry_run,
        "archived": done.archived,
        "entries": done.entries,
        "deleted": done.deleted,
        "values": done.values,
        "forgotten": done.forgotten,
        "requests": done.requests,
        "before": {"file": result.before.file, "used": result.before.used},
        "after": {"file": result.after.file, "used": result.after.used},
        "longest_transaction": result.longest,
        "vacuumed": result.vacuumed,
    }


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _bytes(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"
