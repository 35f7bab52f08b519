"""Commits entries for several runs at once, as fast as it can, and prints each as soon as it is acknowledged.

Each line of input starts a new life, in a process of its own that has everything imported: it goes on until it
is killed, which is told by `dead`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from podium.domain.ids import RunId
from podium.ports.journal import Append
from tests.storage.support import a_run, an_entry, committed, opened

LONG = b'"' + b"l" * 20_000 + b'"'


async def one(storage, run: RunId, seq: int) -> None:
    while True:
        payload = LONG if seq % 5 == 0 else b'"short"'
        await committed(storage, Append(an_entry(run, seq, payload)))
        # One write, so that a kill leaves no half of a line.
        os.write(1, f"{run} {seq}\n".encode())
        seq += 1


async def main(path: Path) -> None:
    storage = await opened(path)
    loaded = [(run, await storage.load(run)) for run in map(RunId, "abcdefgh")]
    for run, already in loaded:
        if already is None:
            await storage.create(a_run(run))
    os.write(1, b"ready\n")
    await asyncio.gather(
        *(one(storage, run, len(already.entries) + 1 if already else 1) for run, already in loaded)
    )


while sys.stdin.readline():
    if (life := os.fork()) == 0:
        asyncio.run(main(Path(sys.argv[1])))
    os.write(1, f"alive {life}\n".encode())
    os.waitpid(life, 0)
    os.write(1, b"dead\n")
