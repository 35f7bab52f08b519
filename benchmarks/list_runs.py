"""A list is a page of runs out of a million: found by state, workflow, attribute or time, at the front and far back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Bound, Figure, Target, median
from podium.app.database import Database, open_database
from podium.domain.runs import Run
from podium.settings import StorageSettings
from podium.storage.sqlite.database import open_sqlite

RUNS = 1_000_000
MILLISECONDS = Target(Bound.AT_MOST, 50.0)

FIRST_PAGES = (
    "",
    "state:failed",
    "state:failed,blocked",
    "workflow:flow-3",
    "workflow:rare state:completed",
    "workflow:flow-3 state:failed",
    "attr.customer=42",
    "attr.customer=42 state:failed",
    "attr.stage=triage state:blocked",
    "created>=2026-01-10 created<2026-01-11",
    "created=2026-01-10 state:failed",
    "id:run-0000004",
    "state:blocked or attr.customer=42",
)
"""What is asked for. Among a million runs there are 100 that are blocked, and 100 of each customer."""

DEEP_PAGES = (
    "",
    "state:completed",
    "workflow:flow-3",
    "attr.stage=triage",
    "created<2026-02-01 state:completed",
)
"""What is asked for from the middle of all runs on."""

_FIRST = 1_767_225_600
"""2026-01-01, when the first run was made; one follows every three seconds."""

_FILL = """
WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :runs)
INSERT INTO runs (id, tenant, workflow, state, created_at, started_at, finished_at, seed, input, output, error,
    input_tokens, output_tokens, cost_nanos, active_seconds, version, generation, priority)
SELECT printf('run-%010d', n), 'default',
    CASE WHEN n % 10000 = 7 THEN 'rare' ELSE 'flow-' || (n % 17) END,
    CASE WHEN n % 10000 = 5000 THEN 'blocked' WHEN n % 50 = 1 THEN 'failed' WHEN n % 100 = 2 THEN 'waiting'
        ELSE 'completed' END,
    CAST(:first AS REAL) + n * 3.0, CAST(:first AS REAL) + n * 3.0 + 1, CAST(:first AS REAL) + n * 3.0 + 2, n, x'7b7d',
    CAST('{"text": "' || hex(randomblob(48)) || '"}' AS BLOB),
    CASE WHEN n % 50 = 1 THEN CAST('{"type":"ValueError","message":"no","retryable":false,"where":null}' AS BLOB) END,
    1200, 300, 1500000, 0.8, '', 0, 0
FROM counted
"""
_LABEL = """
INSERT INTO attributes (run_number, name, tenant, text, number, created_at, run_id)
SELECT number, 'customer', tenant, number % 10000, number % 10000, created_at, id FROM runs
UNION ALL
SELECT number, 'stage', tenant, CASE number % 3 WHEN 0 THEN 'triage' ELSE 'closed' END, NULL, created_at, id FROM runs
ORDER BY 1, 2
"""


def measure(bench: Bench) -> tuple[Figure, ...]:
    return asyncio.run(_measure(bench))


async def _measure(bench: Bench) -> tuple[Figure, ...]:
    runs, path = bench.size(RUNS), bench.new_file()
    bench.say(f"writing {runs:,} runs")
    await (await open_sqlite(path, settings=StorageSettings(), own=True)).close()
    fill(path, runs)
    async with open_database(path) as database:
        (middle,) = await database.runs.list(f"id:run-{runs // 2:010}")
        asked: list[tuple[str, Run | None]] = [(text, None) for text in FIRST_PAGES]
        asked += [(text, middle) for text in DEEP_PAGES]
        return tuple([await _figure(bench, database, text, after) for text, after in asked])


async def _figure(bench: Bench, database: Database, text: str, after: Run | None) -> Figure:
    name = f"{text or 'all'}{', from the middle' if after is not None else ''}"
    bench.say(name)
    samples = []
    for number in range(bench.effort.rounds + 1):
        began = time.perf_counter()
        found = await database.runs.list(text, after=after)
        taken = (time.perf_counter() - began) * 1000
        assert len(found) <= 50
        if number:
            samples.append(taken)
    return median(name, "ms", samples, MILLISECONDS)


def fill(path: Path, runs: int) -> None:
    """Write `runs` ended and waiting runs with two attributes each into the tables of an empty database."""
    with closing(sqlite3.connect(path)) as raw:
        # What is measured is reading: nothing is lost if this writing is.
        raw.execute("PRAGMA synchronous = OFF")
        raw.execute("PRAGMA cache_size = -400000")
        raw.execute(_FILL, {"runs": runs, "first": _FIRST})
        raw.execute(_LABEL)
        raw.commit()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
