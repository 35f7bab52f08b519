"""The live display of a job: a line for each run that ends or parks, and below them what is at work now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from podium.cli.output import plain, shown_seconds
from podium.cli.runs import STATE_STYLES
from podium.domain.happenings import EntryMade, Happening, RunMoved
from podium.domain.ids import RunId
from podium.domain.journal import EntryType
from podium.domain.money import Money
from podium.domain.operations import OperationKind
from podium.domain.states import RunState

_SHOWN_ACTIVE = 8
_LABEL = 14


@dataclass(slots=True)
class _Row:
    """What is known of one run so far. `label` is its first short answer (an intent, say)."""

    began: float
    label: str = ""
    doing: str = ""
    confidence: float | None = None


class JobDisplay:
    """Follows a job's happenings. On a terminal it redraws; elsewhere it prints finished lines only."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._lines = 0
        self._total: int | None = None
        self._done = 0
        self._rows: dict[RunId, _Row] = {}
        self._live: Live | None = None
        self._seen: dict[RunId, RunState] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the display while the block runs."""
        if not self._out.is_terminal:
            yield
            return
        with Live(
            get_renderable=self._render, console=self._out, refresh_per_second=8, transient=True
        ) as live:
            self._live = live
            yield
        self._live = None

    def count(self, lines: int) -> None:
        """Say how many lines of the job have been looked at."""
        self._lines = lines

    def expect(self, runs: int, ended: int) -> None:
        """Say how many runs the job has, and how many of them had ended before."""
        self._total = runs
        self._done += ended

    def follow(self, happening: Happening) -> None:
        """Take note of a happening."""
        match happening:
            case EntryMade(entry):
                row = self._rows.get(entry.run)
                if row is None or entry.type is EntryType.SIGNAL:
                    return
                row.doing = f"{entry.name} done" if entry.type is EntryType.DONE else entry.name
                if entry.type is EntryType.DONE and entry.kind is OperationKind.MODEL:
                    self._learn(row, orjson.loads(entry.payload))
            case RunMoved() if happening.state is RunState.RUNNING:
                row = self._rows.setdefault(happening.run, _Row(time.monotonic()))
                row.doing = "working"
            case RunMoved():
                self._print(happening)

    def _learn(self, row: _Row, answer: dict[str, Any]) -> None:
        row.confidence = answer.get("confidence")
        value = answer.get("value")
        if not row.label and isinstance(value, str) and len(value) <= _LABEL:
            row.label = plain(value)

    def _print(self, moved: RunMoved) -> None:
        row = self._rows.pop(moved.run, None) or _Row(time.monotonic())
        if self._seen.get(moved.run) is moved.state:
            return
        self._done += moved.run not in self._seen
        self._seen[moved.run] = moved.state
        confidence = "    " if row.confidence is None else f"{row.confidence:.2f}"
        line = Text.assemble(
            f"{plain(moved.run, 24):<24} {row.label:<{_LABEL}} {confidence}  ",
            (f"{moved.state:<10}", STATE_STYLES[moved.state]),
            f" {shown_seconds(moved.spending.active_seconds):>8}  {Money(moved.spending.cost_nanos)!s:>9}  ",
            (plain(moved.error.message if moved.error else moved.waiting_on or "", 70), "dim"),
        )
        self._out.print(line)

    def _render(self) -> Group:
        lines: list[Any] = []
        for run_id, row in list(self._rows.items())[:_SHOWN_ACTIVE]:
            took = shown_seconds(time.monotonic() - row.began)
            confidence = "    " if row.confidence is None else f"{row.confidence:.2f}"
            lines.append(
                Text(
                    f"{plain(run_id, 24):<24} {row.label:<{_LABEL}} {confidence}  {plain(row.doing, 30)}  {took}"
                )
            )
        if self._total is None:
            told = f"{self._lines} lines read, {len(self._rows)} runs at work"
        else:
            waiting = max(self._total - self._done - len(self._rows), 0)
            told = f"{self._done} of {self._total} done, {len(self._rows)} at work, {waiting} to come"
        lines.append(Spinner("dots", Text(told)))
        return Group(*lines)
