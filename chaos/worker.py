"""A process that works on a database and is killed for it: `python -m chaos.worker FOLDER`.

Each line of input is the work of a new life, in a process of its own that has everything imported. A life prints what
it was told, a line each, and appends to `world.txt` which steps it executes; `dead` is printed when it has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import traceback
from pathlib import Path

import orjson

from chaos.disk import Disk
from chaos.ledger import Ledger
from chaos.lives import Work
from chaos.watched import WatchedApp
from podium.domain.happenings import EntryMade, Happening, RunMoved
from podium.domain.states import TERMINAL_RUN_STATES


class Told(Ledger):
    """A ledger that is kept outside the process, which will not live to keep it."""

    def __init__(self, world: Path) -> None:
        super().__init__()
        # One write for each line, so that a kill leaves no half of one.
        self._world = os.open(world, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def hear(self, happening: Happening) -> None:
        """Print what is told."""
        match happening:
            case EntryMade(entry):
                say(f"entry {entry.run} {entry.seq}")
            case RunMoved(run=run, state=state) if state in TERMINAL_RUN_STATES:
                say(f"ended {run} {state}")
            case RunMoved(run=run):
                say(f"started {run}")

    def begins(self, run: str, key: str, *, at_most_once: bool) -> None:
        """Note in the world that a step's body is entered."""
        os.write(self._world, f"{run} {key} {int(at_most_once)}\n".encode())


def say(line: str) -> None:
    """Print a line in one write."""
    os.write(1, f"{line}\n".encode())


async def live(folder: Path, line: bytes) -> None:
    """Do the work of one life: the number of orders, and the trees."""
    orders, trees = orjson.loads(line)
    app = WatchedApp(Disk(folder, random.Random()), Told(folder.parent / "world.txt"), checkpoint=40)
    async with app:
        await app.checkpoint_often()
        handles = await Work(orders, trees).begin(app, Ledger())
        for handle in handles:
            say(f"started {handle.id}")
        await app.idle()
    say("done")


def main(folder: Path) -> None:
    """Fork a life for each line of input."""
    logging.disable(logging.CRITICAL)
    while line := sys.stdin.buffer.readline():
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(live(folder, line))
            except BaseException:  # noqa: BLE001 - told, and the end of this life only
                traceback.print_exc()
            finally:
                os._exit(0)
        say(f"alive {pid}")
        os.waitpid(pid, 0)
        say("dead")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
