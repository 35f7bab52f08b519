"""kill -9 at any moment: whatever was acknowledged is there afterwards, whole and in order."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from podium.domain.ids import RunId
from tests.storage.support import child, line_of, opened, tell

KILLS = 20


def one_life(committing: subprocess.Popen[str], lines: int) -> list[str]:
    """Let a process commit until it has printed so many lines, kill it, and return all that it printed."""
    tell(committing, "live")
    process, printed, killed = 0, list[str](), False
    while (line := line_of(committing)) != "dead":
        if line.startswith("alive "):
            process = int(line.removeprefix("alive "))
        elif line != "ready":
            printed.append(line)
        if process and not killed and len(printed) >= lines:
            os.kill(process, signal.SIGKILL)
            killed = True
    assert killed
    return printed


async def test_nothing_acknowledged_is_lost_by_a_kill(path: Path):
    random.seed(KILLS)
    latest: dict[str, int] = defaultdict(int)
    with child("committer", path) as committing:
        for _ in range(KILLS):
            for line in one_life(committing, max(0, random.randrange(-60, 300))):
                assert re.fullmatch(r"[a-h] \d+", line)
                run, seq = line.split()
                # Acknowledged in order, and going on exactly where the last life ended or an unseen entry was.
                assert int(seq) > latest[run]
                latest[run] = int(seq)
            storage = await opened(path)
            for run in "abcdefgh":
                loaded = await storage.load(RunId(run))
                if loaded is None:
                    assert latest[run] == 0
                    continue
                assert [entry.seq for entry in loaded.entries] == list(range(1, len(loaded.entries) + 1))
                assert len(loaded.entries) >= latest[run]
                assert {len(entry.payload) for entry in loaded.entries if entry.seq % 5 == 0} <= {20_002}
            await storage.close()
    assert sum(latest.values()) > KILLS
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
