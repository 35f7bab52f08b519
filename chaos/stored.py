"""What a database file holds, read with plain SQL by somebody who is not Podium."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import NullPool, create_engine

from podium import PodiumError
from podium.storage.blobs import contents

_RUNS = """
SELECT runs.id, runs.workflow, runs.state, runs.output, runs.error, runs.seed,
       runs.started_at, runs.tenant, runs.output_digest
FROM runs
"""
_JOURNAL = """
SELECT runs.id, journal.seq, journal.type, journal.kind, journal.key, journal.payload,
       journal.tenant, journal.payload_digest
FROM journal JOIN runs ON runs.number = journal.run_number
"""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A row of the runs. `output` and `error` are UTF-8 JSON."""

    workflow: str
    state: str
    output: bytes | None
    error: bytes | None
    seed: int
    started_at: float | None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row of the journal: UTF-8 JSON in `payload`, None when a blob that it names is missing."""

    type: str
    kind: str | None
    key: str
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A whole database. `faults` are what is wrong with it by itself, in words."""

    runs: dict[str, StoredRun] = field(default_factory=dict)
    journal: dict[tuple[str, int], StoredEntry] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @property
    def settled(self) -> set[tuple[str, str]]:
        """The operations that have an outcome: run and key."""
        return set(self.outcomes())

    def outcomes(self) -> Iterator[tuple[str, str]]:
        """Yield run and key of each outcome that counts: a retry strikes out those that are to come about anew."""
        struck = {
            (run, seq)
            for (run, _), entry in self.journal.items()
            if entry.type == "retry"
            for seq in struck_by(entry.payload)
        }
        for place, entry in self.journal.items():
            if entry.type in {"done", "error"} and place not in struck:
                yield place[0], entry.key


def struck_by(retry: bytes | None) -> set[int]:
    """Return the numbers of the entries that a retry, by its payload, does not take again."""
    note = json.loads(retry or b"{}")
    return set(note.get("struck", ())) - set(note.get("reusable", ()))


def read(path: Path) -> Stored:
    """Read a database, which is best a copy: looking into it tidies up after the dead."""
    if not path.exists():
        return Stored()
    try:
        return _read(path)
    except sqlite3.DatabaseError as error:
        return Stored(faults=(f"it cannot be read: {error}",))


def _read(path: Path) -> Stored:
    with closing(sqlite3.connect(path)) as connection:
        check = connection.execute("PRAGMA integrity_check").fetchall()
        if check != [("ok",)]:
            return Stored(faults=tuple(f"integrity_check: {line}" for (line,) in check))
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'journal'").fetchone() == (0,):
            return Stored()
        runs_rows = connection.execute(_RUNS).fetchall()
        entry_rows = connection.execute(_JOURNAL).fetchall()
    long = _long_values(
        path, [(row[-2], row[-1]) for row in (*runs_rows, *entry_rows) if row[-1] is not None]
    )
    runs = {
        row[0]: StoredRun(row[1], row[2], long.get(row[-2:], row[3]), row[4], row[5], row[6])
        for row in runs_rows
    }
    journal = {
        row[0:2]: StoredEntry(row[2], row[3], row[4], long.get(row[-2:], row[5])) for row in entry_rows
    }
    stored = Stored(runs, journal)
    return Stored(runs, journal, (*_gaps(stored), *_twice(stored), *_blobs(stored)))


def _gaps(stored: Stored) -> list[str]:
    count = Counter(run for run, _ in stored.journal)
    last: dict[str, int] = {}
    for run, seq in stored.journal:
        last[run] = max(seq, last.get(run, 0))
    return [f"the journal of {run} has gaps" for run in last if last[run] != count[run]]


def _twice(stored: Stored) -> list[str]:
    outcomes = Counter(stored.outcomes())
    return [f"{key} of {run} has {count} outcomes" for (run, key), count in outcomes.items() if count > 1]


def _blobs(stored: Stored) -> list[str]:
    return [
        f"entry {seq} of {run} names a long value that is not there or damaged"
        for (run, seq), entry in stored.journal.items()
        if entry.payload is None
    ]


def _long_values(path: Path, keys: list[tuple[str, bytes]]) -> dict[tuple[str, bytes], bytes]:
    """Return the long values kept under `keys`. How they are put together from pieces, only Podium knows."""
    values: dict[tuple[str, bytes], bytes] = {}
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as conn:
        found = contents(conn, keys)
        for key in keys:
            with suppress(PodiumError):
                values[key] = found.value(*key, "a row")
    return values
