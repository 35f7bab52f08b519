"""How the outcome is shown: a table for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.part import Outcome, Part


@dataclass(frozen=True, slots=True)
class Tried:
    """A part that was run, and how many seconds it took."""

    part: Part
    outcome: Outcome
    seconds: float


def show(console: Console, seed: int, parts: Sequence[Tried], *, details: bool) -> None:
    """Print the table, with `details` what each part tried, and every violation."""
    table = Table(box=None, pad_edge=False)
    table.add_column("part", no_wrap=True)
    table.add_column("what")
    for name in ("faults tried", "violations", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for tried in parts:
        _add(table, tried)
        if details:
            for name, count in sorted(tried.outcome.tried.items()):
                if count:
                    table.add_row("", Text(f"  {name}", style="dim"), Text(f"{count:,}", style="dim"))
    faults = sum(tried.outcome.tried.total() for tried in parts)
    violations = [violation for tried in parts for violation in tried.outcome.violations]
    table.add_section()
    seconds = sum(tried.seconds for tried in parts)
    table.add_row("", "together", f"{faults:,}", _verdict(len(violations)), f"{seconds:.0f}")
    console.print(table)
    for violation in violations:
        console.print(Text(f"\n{violation}", style="red"))
    console.print(f"\nseed {seed}; the same again: python -m chaos --seed {seed}")


def as_json(seed: int, parts: Sequence[Tried]) -> str:
    """Return the outcome as one JSON object."""
    return json.dumps(
        {
            "seed": seed,
            "parts": [
                {
                    "name": tried.part.name,
                    "tried": dict(tried.outcome.tried),
                    "violations": tried.outcome.violations,
                    "seconds": round(tried.seconds, 2),
                }
                for tried in parts
            ],
        }
    )


def _add(table: Table, tried: Tried) -> None:
    faults, violations = tried.outcome.tried.total(), len(tried.outcome.violations)
    table.add_row(
        tried.part.name, tried.part.title, f"{faults:,}", _verdict(violations), f"{tried.seconds:.0f}"
    )


def _verdict(violations: int) -> Text:
    return Text(f"{violations:,}", style="bold red" if violations else "green")
