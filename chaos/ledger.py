"""The outside view: all that was ever acknowledged and done, against which every later state is checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaos.stored import Stored, struck_by
from podium.domain.happenings import EntryMade, Happening, RunMoved
from podium.domain.states import TERMINAL_RUN_STATES

if TYPE_CHECKING:
    from podium.domain.journal import Entry


@dataclass
class Ledger:
    """What was promised by one database over all its lives, and each promise that was not kept."""

    started: set[str] = field(default_factory=set)
    entries: dict[tuple[str, int], Entry] = field(default_factory=dict)
    ended: dict[str, RunMoved] = field(default_factory=dict)
    settled: set[tuple[str, str]] = field(default_factory=set)
    """Operations whose outcome is known to be on disk: run and key."""
    begun: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often the body of a step was entered."""
    retried: set[str] = field(default_factory=set)
    """Runs of which a retry was asked for."""
    violations: list[str] = field(default_factory=list)
    last: Stored = field(default_factory=Stored)

    def hear(self, happening: Happening) -> None:
        """Note what the app tells, which claims that it is on disk."""
        match happening:
            case EntryMade(entry):
                self.entries[entry.run, entry.seq] = entry
                if entry.type in {"done", "error"}:
                    self.settled.add((entry.run, entry.key))
                elif entry.type == "retry":
                    for seq in struck_by(entry.payload):
                        self.settled.discard((entry.run, self._key_of(entry.run, seq)))
            case RunMoved(run=run, state=state):
                self.started.add(run)
                self.ended.pop(run, None)
                if state in TERMINAL_RUN_STATES:
                    self.ended[run] = happening

    def may_go_on(self, run: str) -> None:
        """Note that somebody asked for a run that failed to be tried again: what is struck out of it may be redone."""
        self.ended.pop(run, None)
        self.retried.add(run)

    def begins(self, run: str, key: str, *, at_most_once: bool) -> None:
        """Note that a step's body is entered."""
        self.begun[run, key] += 1
        if (run, key) in self.settled and run.partition("/")[0] not in self.retried:
            self.violations.append(f"{key} of {run} was executed again although its outcome was on disk")
        if at_most_once and self.begun[run, key] > 1:
            self.violations.append(f"at-most-once {key} of {run} was executed {self.begun[run, key]} times")

    def check(self, stored: Stored) -> None:
        """Compare what a database holds after a crash with all that was acknowledged, and with its last state."""
        self.violations += stored.faults
        self.violations += [f"{run} was started, and is lost" for run in self.started - stored.runs.keys()]
        for place, entry in self.entries.items():
            found = stored.journal.get(place)
            if found is None or (found.type, found.key, found.payload) != (
                entry.type,
                entry.key,
                entry.payload,
            ):
                self.violations.append(
                    f"entry {place} was acknowledged as {entry.type} {entry.key}; now {found}"
                )
        for run, moved in self.ended.items():
            row = stored.runs.get(run)
            if row is None or (row.state, row.output) != (moved.state, moved.output):
                self.violations.append(f"{run} had ended as {moved.state}; now {row}")
        for place, before in self.last.journal.items():
            if stored.journal.get(place) != before:
                self.violations.append(f"entry {place} was on disk and has changed or gone")
        self.settled = stored.settled
        self.last = stored

    def _key_of(self, run: str, seq: int) -> str:
        told, earlier = self.entries.get((run, seq)), self.last.journal.get((run, seq))
        return told.key if told else earlier.key if earlier else ""
