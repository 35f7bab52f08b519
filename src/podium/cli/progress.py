"""The live display of a job: a line for each run that ends or parks, and below them what is at work now."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from podium.cli.output import ReaderGone, on_terminal, plain, shown_seconds
from podium.cli.runs import STATE_STYLES
from podium.domain.happenings import EntryMade, Happening, RunMoved
from podium.domain.ids import RunId
from podium.domain.journal import EntryType
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
    """Follows a job's happenings. On a terminal it redraws; elsewhere it prints finished lines only.

    `gone` is called when whoever read the output has gone.
    """

    def __init__(self, out: Console, gone: Callable[[], None]) -> None:
        self._out = out
        self._gone = gone
        self._lines = 0
        self._runs: Collection[RunId] | None = None
        self._settled: set[RunId] = set()
        self._rows: dict[RunId, _Row] = {}
        self._last: dict[RunId, RunState] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the display while the block runs."""
        if self._out.quiet or not on_terminal():
            yield
            return
        with Live(get_renderable=self._render, console=self._out, refresh_per_second=8, transient=True):
            yield

    def count(self, lines: int) -> None:
        """Say how many lines of the job have been looked at."""
        self._lines = lines

    def expect(self, runs: Collection[RunId], settled: Collection[RunId]) -> None:
        """Say which runs the job has, and which of them had ended or were waiting when it began."""
        self._runs = set(runs)
        self._settled |= {run for run in settled if run not in self._rows}

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
                self._settled.discard(happening.run)
            case RunMoved():
                self._settle(happening)

    def _learn(self, row: _Row, answer: dict[str, Any]) -> None:
        row.confidence = answer.get("confidence")
        value = answer.get("value")
        if not row.label and isinstance(value, str) and len(value) <= _LABEL:
            row.label = plain(value)

    def _settle(self, moved: RunMoved) -> None:
        row = self._rows.pop(moved.run, None) or _Row(time.monotonic())
        self._settled.add(moved.run)
        if self._last.get(moved.run) is moved.state:
            return
        self._last[moved.run] = moved.state
        try:
            self._out.print(_line(moved, row))
        except ReaderGone:
            self._gone()

    def _render(self) -> Group:
        lines: list[Any] = []
        for run_id, row in list(self._rows.items())[:_SHOWN_ACTIVE]:
            took = shown_seconds(time.monotonic() - row.began)
            lines.append(Text(f"{_known(run_id, row)}  {plain(row.doing, 30)}  {took}"))
        at_work = len(self._rows)
        if self._runs is None:
            told = f"{self._lines} lines read, {at_work} at work"
        else:
            done = len(self._settled & set(self._runs))
            to_come = max(len(self._runs) - done - at_work, 0)
            told = f"{done} of {len(self._runs)} done, {at_work} at work, {to_come} to come"
        lines.append(Spinner("dots", Text(told)))
        return Group(*lines)


def _line(moved: RunMoved, row: _Row) -> Text:
    why = moved.error.message if moved.error else moved.waiting_on or ""
    return Text.assemble(
        f"{_known(moved.run, row)}  ",
        (f"{moved.state:<10}", STATE_STYLES[moved.state]),
        f" {shown_seconds(moved.spending.active_seconds):>8}  {moved.spending.cost:>9}  ",
        (plain(why, 70), "dim"),
    )


def _known(run_id: RunId, row: _Row) -> str:
    confidence = "    " if row.confidence is None else f"{row.confidence:.2f}"
    return f"{plain(run_id, 24):<24} {row.label:<{_LABEL}} {confidence}"
