"""Killed or out of space at any moment, a journal is there: in rows or in an archive, never in neither."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.retention.support import DAY, LONG, ended, entries_of, hot, ids, rows
from tests.storage.support import ROOT, opened

KILLS = 12


def child(module: str, path: Path, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.retention.children.{module}", str(path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1, **options
    )


def one_life(process: subprocess.Popen[str], seconds: float) -> None:
    """Let it work for so long, counted from when it has opened the database, and kill it."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write("live\n")
    seen: set[str] = set()
    pid = 0
    while not (pid and "ready" in seen):
        line = process.stdout.readline().strip()
        assert line, process.stderr.read()
        seen.add(line)
        if line.startswith("alive"):
            pid = int(line.split()[1])
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    while process.stdout.readline().strip() != "dead":
        pass


async def test_a_kill_at_any_moment_leaves_every_journal_whole(path: Path):
    random.seed(KILLS)
    archived = 0
    with child("archiver", path) as process:
        for _ in range(KILLS):
            one_life(process, random.uniform(0, 0.5))
            storage = await opened(path)
            whole = "SELECT id FROM runs WHERE state = 'completed'"
            for (run,) in await rows(storage, whole):
                life = run.partition("-")[0]
                first, long, last = (entry.payload for entry in await entries_of(storage, run))
                assert (first.split()[0], long, last) == (
                    f'"{life}'.encode(),
                    LONG + life.encode(),
                    b"[1,2,3]",
                )
            both = "SELECT count(*) FROM archives WHERE run_number IN (SELECT run_number FROM journal)"
            assert await rows(storage, both) == [(0,)]
            strays = "SELECT count(*) FROM {} WHERE run_number NOT IN (SELECT number FROM runs)"
            for table in ("journal", "archives", "archive_values"):
                assert await rows(storage, strays.format(table)) == [(0,)]
            ((count,),) = await rows(storage, "SELECT count(*) FROM archives")
            archived = max(archived, count)
            await storage.close()
        process.kill()
    assert archived > 0
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_full_disk_is_told_plainly_and_loses_nothing(path: Path):
    storage = await opened(path)
    payload = b'"' + random.Random(1).randbytes(4000).hex().encode() + b'"'
    for number in range(60):
        await ended(storage, f"r-{number:02}", DAY, payloads=(payload,) * 5)
    before = {run: await entries_of(storage, run) for run in await ids(storage)}
    await storage.close()
    with child("full_disk", path) as process:
        said, _ = process.communicate(timeout=60)
    assert said.count("\n") == 1
    assert f"The database {path} can no longer be written: " in said
    storage = await opened(path)
    assert {run: await entries_of(storage, run) for run in await ids(storage)} == before
    assert await hot(storage)
    await storage.close()
