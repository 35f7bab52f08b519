"""`podium check`: says which of the runs that are under way the code in a file would break."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from podium.cli.exits import Exit, complain
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database
from podium.cli.output import console, plain, print_json, shown_seconds
from podium.cli.waiting import wait_for
from podium.domain.states import RunState

if TYPE_CHECKING:
    from rich.console import Console

    from podium.app.check import CheckedRun, Findings, Group

EXAMPLES = (
    "Examples: podium check desk.py · podium check desk.py --failed --json · podium check desk.py --runs. "
    "Exit codes: 0 all fit · 1 some would break · 2 the file cannot be used."
)
"""What the help shows."""

_FAREWELL = "interrupted. Nothing was changed; what was not reached is not checked."
_EVERY = 10_000
_INTERVAL = 0.2
_WIDTH = 200
_KINDS = {
    "changed": "would be blocked: the code changed under them",
    "value": "would be blocked: a value does not fit its type any more",
    "unreadable": "would be blocked: their journal cannot be read",
    "version": "would be left lying: their version is not in the file",
    "orphan": "would leave something behind: the code no longer asks for it",
    "fails": "would fail at once",
    "endless": "cannot be checked: the code does not come to a rest",
}
_REMEDIES = {
    "changed": "Guard the change with patched(), or give the new code another @workflow(version=...) beside the old.",
    "value": "Keep the old type readable: a default for a new field, a union for a changed one.",
    "unreadable": "Restore the database from a copy.",
    "version": "Keep the old version in the file until its runs have ended.",
    "orphan": "Guard the change with patched(), or let these runs end first.",
    "fails": "Mend the code; a run that has failed goes on with `podium runs retry RUN`.",
    "endless": "Look for a loop that awaits nothing; --limit gives it more time.",
}


def check(
    file: Annotated[str, typer.Argument(metavar="FILE.py", help="The file with the workflows.")],
    database: Database = DEFAULT_DATABASE,
    failed: Annotated[
        bool, typer.Option("--failed", help="Failed runs too: could they be retried with this code?")
    ] = False,
    runs: Annotated[
        bool, typer.Option("--runs", help="A line for every run as it is checked, before the summary.")
    ] = False,
    limit: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds that the replay of one run may take.")
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Replay every run that is under way against the code in FILE, and say which would break, and where.

    Nothing is changed and no step is executed; a process that owns the database may be at work meanwhile.
    """
    from podium.app.check import Findings

    findings = Findings()
    began = time.monotonic()
    wait_for(
        lambda: _look(file, database, findings, failed=failed, runs=runs, limit=limit, as_json=as_json),
        _FAREWELL,
    )
    took = time.monotonic() - began
    if as_json:
        print_json(_as_data(findings, took))
    else:
        _print(console(), findings, took, file)
    raise typer.Exit(Exit.NOT_ALL_WELL if findings.broken else Exit.OK)


async def _look(
    file: str, database: Path, findings: Findings, *, failed: bool, runs: bool, limit: float, as_json: bool
) -> None:
    from podium.app.check import checked_runs
    from podium.app.workflow_file import load_file

    progress, out = _Progress(), console()
    loaded = load_file(file.rpartition(":")[0] if ".py:" in file else file)
    read_by = loaded.settings.storage
    found = checked_runs(
        database, loaded.workflows, with_failed=failed, seconds=limit, storage_settings=read_by
    )
    async for checked in found:
        findings.add(checked)
        if runs and as_json:
            print_json(checked)
        elif runs:
            out.print(Text(_line(checked), style="" if checked.misfit is None else "red"))
        progress.show(findings)
    progress.end()


class _Progress:
    """How far the check is, on standard error: one line that is written over, or one every ten thousand runs."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._shown = False

    def show(self, findings: Findings) -> None:
        if not self._on_terminal:
            if findings.checked % _EVERY == 0:
                complain(_so_far(findings))
        elif time.monotonic() - self._shown_at > _INTERVAL:
            self._shown_at, self._shown = time.monotonic(), True
            self._write(f"\r{_so_far(findings)}")

    def end(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._on_terminal = False


def _so_far(findings: Findings) -> str:
    return f"{findings.checked:,} runs checked, {findings.broken:,} would break"


def _line(checked: CheckedRun) -> str:
    misfit = checked.misfit
    if misfit is None:
        return f"{plain(checked.run)}  {checked.state}  fits"
    asks = f"; now {misfit.asks}" if misfit.asks else ""
    where = f" at {', '.join(misfit.where)}" if misfit.where else ""
    entry = f" (entry {misfit.entry})" if misfit.entry is not None else ""
    return f"{plain(checked.run)}  {checked.state}  {misfit.kind}: {plain(misfit.recorded + entry + asks + where, _WIDTH)}"


def _print(out: Console, findings: Findings, took: float, file: str) -> None:
    for group in findings.groups:
        _print_group(out, group)
    if findings.ungrouped:
        out.print(
            Text(f"{findings.ungrouped:,} more runs would break, for yet other reasons.\n", style="red")
        )
    fit = findings.fitting.total()
    if not findings.checked:
        out.print(Text(f"No run of the workflows in {plain(file)} is under way."))
        return
    well = "all fit" if not findings.broken else f"{fit:,} fit, {findings.broken:,} would break"
    speed = f"{findings.checked / took:,.0f} runs a second"
    out.print(Text(f"{_runs(findings.checked)} checked in {shown_seconds(took)} ({speed}): {well}."))
    if blocked := findings.fitting[RunState.BLOCKED]:
        hint = "podium runs retry RUN has one tried again, podium runs settle RUN where an outcome is unknown"
        out.print(Text(f"Of those that fit, {blocked:,} are blocked now: {hint}.", style="dim"))


def _print_group(out: Console, group: Group) -> None:
    example, misfit = group.example, group.example.misfit
    if misfit is None:
        return
    version = f" (version {plain(example.version)})" if example.version else ""
    head = f"{_runs(group.count)} of {plain(example.workflow)}{version} {_KINDS[misfit.kind]}"
    out.print(Text(head, style="bold red"))
    at = f" at {plain(misfit.key)}" if misfit.key and misfit.key not in misfit.recorded else ""
    entry = f" (entry {misfit.entry} of run {plain(example.run)})" if misfit.entry is not None else ""
    _print_side(out, "recorded", f"{plain(misfit.recorded, _WIDTH)}{at}{entry}")
    where = f", {', '.join(misfit.where)}" if misfit.where else ""
    if misfit.asks or where:
        _print_side(out, "the code", f"{plain(misfit.asks or 'waits', _WIDTH)}{plain(where)}")
    named = ", ".join(plain(run) for run in group.runs)
    more = f" and {group.count - len(group.runs):,} more" if group.count > len(group.runs) else ""
    _print_side(out, "runs", named + more)
    _print_side(out, "remedy", _REMEDIES[misfit.kind])
    out.print()


def _print_side(out: Console, side: str, text: str) -> None:
    out.print(Text(f"  {side:<10}{text}"))


def _runs(count: int) -> str:
    return f"{count:,} run" if count == 1 else f"{count:,} runs"


def _as_data(findings: Findings, took: float) -> dict[str, Any]:
    return {
        "checked": findings.checked,
        "fit": findings.fitting.total(),
        "fit_by_state": dict(findings.fitting),
        "broken": findings.broken,
        "broken_by_kind": dict(findings.kinds),
        "problems": [_group_data(group) for group in findings.groups],
        "ungrouped": findings.ungrouped,
        "seconds": took,
    }


def _group_data(group: Group) -> dict[str, Any]:
    example = group.example
    return {
        "workflow": example.workflow,
        "version": example.version,
        "count": group.count,
        "runs": group.runs,
        "example": example.run,
        "misfit": example.misfit,
    }
