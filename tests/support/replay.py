"""Forced replay: after every entry of a journal the code is run anew from the beginning, and must do the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import orjson

from podium.domain.errors import ErrorRecord
from podium.domain.ids import RunId
from podium.domain.journal import Entry, EntryType, Signal
from podium.domain.operations import Operation, WaitUntil
from podium.flow.execution import Execution
from podium.flow.failures import encode_error
from podium.flow.results import Result

STARTED_AT = 1_000_000.0
RUN = RunId("r")
Log = list[str]
Program = Callable[[Log], Coroutine[Any, Any, Any]]
"""A workflow's code: it writes into the log all that it sees."""


@dataclass
class Life:
    """One execution of a program, and all that could be seen of it so far."""

    program: Program
    seed: int
    started_at: float = STARTED_AT
    log: Log = field(default_factory=list)
    asked: list[Operation] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.execution = Execution(RUN, self.seed, self.started_at)
        self.execution.start(lambda: self.program(self.log))
        self._take()

    def deliver(self, entry: Entry) -> None:
        if self.execution.result is not None:
            if entry.type is not EntryType.SIGNAL:
                self.execution.expects(entry)
            return
        self.execution.deliver(entry)
        self._take()

    def open(self, settled: set[str]) -> list[Operation]:
        return [op for op in self.asked if op.key not in settled and op.key not in self.withdrawn]

    def seen(self) -> tuple[object, ...]:
        """What must be the same in every life that was given the same entries."""
        asked = [
            (op.key, op.intent.kind, op.intent.name, op.intent.fingerprint, due(op)) for op in self.asked
        ]
        return asked, list(self.withdrawn), list(self.log), self.execution.result

    def _take(self) -> None:
        self.asked += self.execution.take_requests()
        self.withdrawn += self.execution.take_withdrawn()


def due(operation: Operation) -> float | None:
    request = operation.intent.request
    return request.due if isinstance(request, WaitUntil) else None


@dataclass
class Driver:
    """Plays the engine: decides by dice which open operation ends next, how, and with what others in one commit."""

    dice: random.Random
    failures: float = 0.2
    cancel: float = 0.0

    def journal(self, life: Life, *, longest: int = 400) -> list[Entry]:
        """Run a life to its end; after each entry a new life must look the same. Return the journal."""
        entries: list[Entry] = []
        settled: set[str] = set()
        with closing(life.execution):
            while life.execution.result is None:
                for entry in self._batch(life, entries, settled):
                    life.deliver(entry)
                    entries.append(entry)
                    assert_replayed(life, entries)
                assert len(entries) < longest, "the program does not come to an end"
        return entries

    def _batch(self, life: Life, entries: Sequence[Entry], settled: set[str]) -> list[Entry]:
        """Outcomes that are recorded together: when the first is delivered, the code may give up the others."""
        if self.cancel and self.dice.random() < self.cancel:
            self.cancel = 0.0
            return [self._entry(len(entries) + 1, self._now(entries), signal=Signal.CANCEL)]
        batch: list[Entry] = []
        for _ in range(self.dice.randint(1, 3)):
            waiting = life.open(settled)
            if not waiting:
                break
            operation = self.dice.choice(waiting)
            settled.add(operation.key)
            at = max(self._now([*entries, *batch]) + self.dice.random(), due(operation) or 0.0)
            batch.append(self._entry(len(entries) + len(batch) + 1, at, operation))
        assert batch, "nothing is open, and yet the run has not ended"
        return batch

    def _now(self, entries: Sequence[Entry]) -> float:
        return entries[-1].at if entries else STARTED_AT

    def _entry(
        self, seq: int, at: float, operation: Operation | None = None, signal: Signal | None = None
    ) -> Entry:
        if operation is None:
            payload = orjson.dumps(signal)
            return Entry(RUN, seq, EntryType.SIGNAL, None, "", "cancel", "", 1, payload, at, at)
        intent = operation.intent
        fails = due(operation) is None and self.dice.random() < self.failures
        payload = (
            b"null"
            if due(operation) is not None
            else orjson.dumps(f"{operation.key}={self.dice.randint(0, 99)}")
        )
        if fails:
            payload = encode_error(ErrorRecord("Broken", f"{operation.key} broke"))
        kind = EntryType.ERROR if fails else EntryType.DONE
        return Entry(
            RUN, seq, kind, intent.kind, operation.key, intent.name, intent.fingerprint, 1, payload, at, at
        )


def assert_replayed(life: Life, entries: Sequence[Entry]) -> None:
    """Fail unless a new life that is given `entries` looks exactly like `life`."""
    assert replayed(life.program, life.seed, entries) == life.seen()


def replayed(program: Program, seed: int, entries: Sequence[Entry]) -> tuple[object, ...]:
    """What is seen of a new life that is given entries; raises `CodeChanged` when they are from another program."""
    life = Life(program, seed)
    with closing(life.execution):
        for entry in entries:
            life.deliver(entry)
        return life.seen()


def ended(life: Life) -> Result:
    assert life.execution.result is not None
    return life.execution.result
