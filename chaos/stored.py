"""What a database file holds, read with plain SQL by somebody who is not Podium."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_RUNS = """
SELECT runs.id, runs.workflow, runs.state, coalesce(runs.output, blobs.content), runs.error, runs.seed,
       runs.started_at
FROM runs LEFT JOIN blobs ON blobs.tenant = runs.tenant AND blobs.digest = runs.output_digest
"""
_JOURNAL = """
SELECT runs.id, journal.seq, journal.type, journal.kind, journal.key, coalesce(journal.payload, blobs.content)
FROM journal JOIN runs ON runs.number = journal.run_number
LEFT JOIN blobs ON blobs.tenant = journal.tenant AND blobs.digest = journal.payload_digest
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
        return {
            (run, entry.key) for (run, _), entry in self.journal.items() if entry.type in {"done", "error"}
        }


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
        runs = {row[0]: StoredRun(*row[1:]) for row in connection.execute(_RUNS)}
        journal = {row[0:2]: StoredEntry(*row[2:]) for row in connection.execute(_JOURNAL)}
        blobs = connection.execute("SELECT digest, content FROM blobs").fetchall()
    stored = Stored(runs, journal)
    return Stored(runs, journal, (*_gaps(stored), *_twice(stored), *_blobs(stored, blobs)))


def _gaps(stored: Stored) -> list[str]:
    count = Counter(run for run, _ in stored.journal)
    last: dict[str, int] = {}
    for run, seq in stored.journal:
        last[run] = max(seq, last.get(run, 0))
    return [f"the journal of {run} has gaps" for run in last if last[run] != count[run]]


def _twice(stored: Stored) -> list[str]:
    outcomes = Counter(
        (run, entry.key) for (run, _), entry in stored.journal.items() if entry.type in {"done", "error"}
    )
    return [f"{key} of {run} has {count} outcomes" for (run, key), count in outcomes.items() if count > 1]


def _blobs(stored: Stored, blobs: list[tuple[Any, ...]]) -> list[str]:
    missing = [
        f"entry {seq} of {run} names a blob that is not there"
        for (run, seq), entry in stored.journal.items()
        if entry.payload is None
    ]
    wrong = [
        f"the blob {digest.hex()} holds something else"
        for digest, content in blobs
        if hashlib.blake2b(content, digest_size=32).digest() != digest
    ]
    return missing + wrong
