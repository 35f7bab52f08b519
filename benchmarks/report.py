"""How results are shown: a table for people, one JSON object for programs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.bench import Effort
from benchmarks.figures import Figure, Result
from benchmarks.machine import Machine


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found, and where.

    `load_after` is the machine's load average when everything was done, `peers` are the packages that were measured
    beside ours with their versions, `date` is the day, as `YYYY-MM-DD`.
    """

    machine: Machine
    load_after: float | None
    effort: Effort
    results: tuple[Result, ...]
    peers: tuple[tuple[str, str], ...]
    date: str


def as_json(report: Report) -> str:
    """Return the report as one JSON object; each figure that has a target says whether it is `met`."""
    data = dataclasses.asdict(report)
    for result, plain in zip(report.results, data["results"], strict=True):
        for figure, entry in zip(result.figures, plain["figures"], strict=True):
            if figure.target is not None:
                entry["target"]["met"] = figure.target.is_met_by(figure.value)
    return json.dumps(data)


def show_machine(console: Console, machine: Machine, peers: tuple[tuple[str, str], ...]) -> None:
    """Print what is measured on, and beside which peers."""
    libraries = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    console.print(
        f"{machine.cores} cores of {machine.cpu}, {machine.system}, {machine.file_system} on {machine.disk}"
    )
    console.print(f"{machine.python}, SQLite {machine.sqlite}, {libraries}")
    if peers:
        console.print("peers: " + ", ".join(f"{name} {version}" for name, version in peers))
    else:
        console.print(
            "The peers are not installed, so their rows are left out. `make bench` installs them where it can: "
            "`python3 scripts/environment.py peers` says why it cannot.",
            style="yellow",
        )
    console.print(f"load average {load_of(machine.load)}")
    if machine.keeps_nothing:
        console.print(
            f"The databases are on {machine.file_system}, which is memory: commits cost nothing there. "
            "Measure on a disk with --folder.",
            style="yellow",
        )


def show_result(console: Console, result: Result) -> None:
    """Print what one benchmark found."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("what", min_width=40)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("range", no_wrap=True, style="dim")
    for figure in result.figures:
        table.add_row(figure.name, _value(figure), _range(figure))
        if figure.target is not None:
            table.add_row(
                f"  target: {figure.target.bound} {number_of(figure.target.value)}", _verdict(figure)
            )
    console.print()
    console.print(result.title, style="bold")
    console.print(table)


def show_end(console: Console, report: Report) -> None:
    """Print what holds for all figures together."""
    seconds = sum(result.seconds for result in report.results)
    console.print()
    console.print(
        f"Medians of {report.effort.rounds} rounds after a warm-up (import: the best), with the lowest and highest. "
        f"{seconds:.0f} s in all; load average now {load_of(report.load_after)}."
    )


def _value(figure: Figure) -> Text:
    return Text.assemble((number_of(figure.value), "bold"), f" {figure.unit}")


def _range(figure: Figure) -> str:
    if len(figure.samples) == 1:
        return ""
    return f"({number_of(min(figure.samples))} to {number_of(max(figure.samples))})"


def _verdict(figure: Figure) -> Text:
    if figure.target is not None and figure.target.is_met_by(figure.value):
        return Text("met", style="green")
    return Text("NOT MET", style="bold red")


def number_of(value: float) -> str:
    """Return three meaningful digits, or all digits before the point."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def load_of(load: float | None) -> str:
    """Return a load average in words."""
    return "unknown" if load is None else f"{load:.2f}"
