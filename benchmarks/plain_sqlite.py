"""The same rows through Python's own sqlite3 and nothing else: what the disk and the driver allow."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAYLOAD = "x" * 1022
"""What every step returns and every plain row holds: 1 KB once it is JSON."""

_ROW = json.dumps(PAYLOAD).encode()


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database as safely as Podium does: write-ahead log, `synchronous=FULL`. Commits only where told to."""
    conn = sqlite3.connect(path, isolation_level=None)
    try:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("CREATE TABLE IF NOT EXISTS results (number INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
        yield conn
    finally:
        conn.close()


def write_rows(path: Path, rows: int, per_commit: int) -> float:
    """Return the seconds that it takes to write `rows` rows of 1 KB, `per_commit` of them in each transaction."""
    with opened(path) as conn:
        began = time.perf_counter()
        for start in range(0, rows, per_commit):
            conn.execute("BEGIN IMMEDIATE")
            for _ in range(start, min(start + per_commit, rows)):
                conn.execute("INSERT INTO results (payload) VALUES (?)", (_ROW,))
            conn.execute("COMMIT")
        seconds = time.perf_counter() - began
        (written,) = conn.execute("SELECT count(*) FROM results").fetchone()
    assert written == rows
    return seconds


def read_rows(path: Path, rows: int) -> float:
    """Return the seconds that it takes to read the `rows` rows of a file in order and to decode each."""
    with opened(path) as conn:
        began = time.perf_counter()
        found = [
            json.loads(payload) for (payload,) in conn.execute("SELECT payload FROM results ORDER BY number")
        ]
        seconds = time.perf_counter() - began
    assert len(found) == rows
    return seconds


def count_done(path: Path) -> int:
    """Return how many outcomes a closed Podium database holds, seen from outside."""
    conn = sqlite3.connect(path)
    try:
        count: int = conn.execute("SELECT count(*) FROM journal WHERE type = 'done'").fetchone()[0]
    finally:
        conn.close()
    return count
