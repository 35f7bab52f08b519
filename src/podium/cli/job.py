"""A job at the terminal: begins it, shows it, adds it up."""

from __future__ import annotations

import os
import shlex
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from podium.cli.exits import Exit, Interrupted
from podium.cli.options import database_hint, program
from podium.cli.output import ReaderGone, console, plain, print_json, shown_seconds
from podium.cli.progress import JobDisplay
from podium.domain.money import shown_cost
from podium.domain.states import RunState

if TYPE_CHECKING:
    from podium.app.job import JobStart, JobTotals
    from podium.app.workflow_file import WorkflowFile
    from podium.settings import Settings

FRESH_HINT_VARIABLE = "PODIUM_FRESH_HINT"
"""What to suggest for starting over, when something like `make` stands in front of this command."""

_MOST_PROBLEMS = 20
_WELL = frozenset({RunState.COMPLETED, RunState.WAITING})


async def run_job(
    loaded: WorkflowFile,
    path: Path,
    id_field: str | None,
    database: Path,
    tenant: str,
    settings: Settings,
    *,
    as_json: bool,
    farewell: str,
) -> Exit:
    """Run the job and return the exit code: not all well when a line is broken, or a run neither completed nor waits.

    Raises `Interrupted` with `farewell` as its message when nobody reads any more what the job has to say.
    """
    from podium.app.job import begin_job, total_up
    from podium.app.job_lines import read_job_lines
    from podium.app.podium import Podium

    out = Console(stderr=True, quiet=True) if as_json else console()
    display = JobDisplay(out, partial(signal.raise_signal, signal.SIGINT))
    async with Podium(
        database,
        workflows=loaded.workflows,
        queues=loaded.queues,
        budgets=loaded.budgets,
        settings=settings,
        source=loaded.source,
    ) as app:
        app.subscribe(display.follow)
        lines = read_job_lines(path, loaded.chosen, id_field)
        with display.shown():
            start = await begin_job(app, loaded.chosen, lines, display.count, tenant)
            display.expect(start.runs, [*start.ended, *start.waiting])
            try:
                _print_start(out, start)
            except ReaderGone:
                raise Interrupted(farewell) from None
            await app.idle()
        totals = await total_up(app, start.runs, tenant)
    if as_json:
        print_json({"start": start, "totals": _as_json(totals)})
    elif start.runs or start.broken:
        _print_totals(out, start, totals, database_hint(database, tenant))
    else:
        out.print(Text(f"{plain(path)} has no lines: there is nothing to do."))
    return Exit.NOT_ALL_WELL if start.broken or set(totals.states) - _WELL else Exit.OK


def _print_start(out: Console, start: JobStart) -> None:
    for line in start.broken[:_MOST_PROBLEMS]:
        out.print(Text(f"line {line.number}: skipped: {plain(line.problem, 200)}", style="red"))
    if len(start.broken) > _MOST_PROBLEMS:
        out.print(Text(f"... and {len(start.broken) - _MOST_PROBLEMS} more broken lines", style="red"))
    for number in start.repaired[:_MOST_PROBLEMS]:
        out.print(
            Text(f"line {number}: is not valid UTF-8; what could not be read was replaced", style="yellow")
        )
    if start.other_input:
        have = (
            "line has changed since its run"
            if start.other_input == 1
            else "lines have changed since their runs"
        )
        out.print(Text(f"{start.other_input} {have} began; the first input stands", style="yellow"))
    if start.new and not (start.resumed or start.waiting or start.ended):
        out.print(Text(f"{len(start.new)} runs begin.", style="dim"))
    elif start.resumed or start.new:
        out.print(
            Text(
                f"Going on: {len(start.ended)} had ended and {len(start.waiting)} wait; none of that is repeated. "
                f"{len(start.resumed)} go on where they were, {len(start.new)} begin.",
                style="dim",
            )
        )


def _print_totals(out: Console, start: JobStart, totals: JobTotals, hint: str) -> None:
    states = totals.states
    others = ", ".join(
        f"{count} {state}"
        for state, count in states.items()
        if state not in (RunState.COMPLETED, RunState.WAITING, RunState.FAILED)
    )
    out.print()
    out.print(
        Text.assemble(
            (f"{states[RunState.COMPLETED]} completed", "green"), ", ",
            (f"{states[RunState.WAITING]} waiting for a person", "yellow"), ", ",
            (f"{states[RunState.FAILED]} failed", "red" if states[RunState.FAILED] else ""),
            f", {others}" if others else "",
            f" · {len(start.broken)} broken lines skipped" if start.broken else "",
        )
    )  # fmt: skip
    models = ", ".join(f"{plain(model)} ({count} answers)" for model, count in totals.models.most_common())
    out.print(Text(f"answered by  {models or 'no model'}"))
    usage = totals.usage
    out.print(
        Text(
            f"tokens       {usage.input_tokens:,} in, {usage.output_tokens:,} out · "
            f"cost {shown_cost(totals.cost, priced=totals.priced)}"
        )
    )
    p50, p95 = shown_seconds(totals.percentile(50)), shown_seconds(totals.percentile(95))
    out.print(Text(f"latency      p50 {p50}, p95 {p95} at work per run, waiting for people not counted"))
    for run_id, reason in list(totals.reasons.items())[:_MOST_PROBLEMS]:
        out.print(Text(f"  {plain(run_id, 30)}: {plain(reason, 150)}", style="red"))
    if len(totals.reasons) > _MOST_PROBLEMS:
        out.print(Text(f"  ... and {len(totals.reasons) - _MOST_PROBLEMS} more", style="red"))
    if start.runs and not (start.new or start.resumed):
        again = os.environ.get(FRESH_HINT_VARIABLE) or "the same command with --fresh"
        out.print(
            Text(f"\nEvery line had been worked on before; nothing was repeated. To start over: {again}")
        )
    if start.runs:
        _print_next(out, start.runs[0], states[RunState.WAITING], hint)


def _print_next(out: Console, run: str, waiting: int, hint: str) -> None:
    podium = program()
    commands = [
        ("reviews list", "what waits for a person"),
        ("reviews decide ID approve", "or: edit, reject"),
    ]
    commands = commands if waiting else []
    commands.append((f"runs show {shlex.quote(run)}", "a run's timeline"))
    out.print(Text("\nNext:", style="bold"))
    for command, meaning in commands:
        out.print(Text(f"  {plain(f'{podium} {command}{hint}'):<60}  {meaning}"))


def _as_json(totals: JobTotals) -> dict[str, object]:
    return {
        "states": dict(totals.states),
        "models": dict(totals.models),
        "usage": totals.usage,
        "cost_usd": totals.cost,
        "priced": totals.priced,
        "p50_seconds": totals.percentile(50),
        "p95_seconds": totals.percentile(95),
        "reasons": totals.reasons,
    }
