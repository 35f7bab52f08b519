"""kill -9 at any moment, on real processes and a real disk, looked at from outside."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from chaos.disk import Disk
from chaos.lives import Database, Work, empty_database, ends
from chaos.part import Effort, Outcome
from chaos.watched import WatchedApp
from tests.support.processes import ROOT
from tests.support.programs import Tree, tree_of, with_children

KILLS: Final = 8
"""Kills that one database goes through."""


def kills(effort: Effort, most: int = KILLS) -> Outcome:
    """Storm one database after the other."""
    outcome = Outcome()
    for number, dice, folder in effort.rounds("kills"):
        database = Database(folder, dice, template=empty_database())
        storm(database, most, outcome)
        outcome.violations += [f"kills, round {number}: {told}" for told in database.ledger.violations]
        shutil.rmtree(folder)
    return outcome


def storm(database: Database, most: int, outcome: Outcome) -> None:
    """Kill the process that works on a database so many times, and let it end its work."""
    dice = database.dice
    trees = [with_children(tree_of(dice.randint(2, 14), dice), dice, 0.1) for _ in range(most)]
    with _worker(database.folder) as worker:
        for life in range(most):
            work = Work(4 * life + 4, trees[: life + 1])
            outcome.tried["kill -9"] += _one_life(worker, database, work, dice.randrange(120))
        work = Work(4 * most, trees)
        if _one_life(worker, database, work, None):
            database.ledger.violations.append("the last life did not come to its end")
    asyncio.run(_ends(database, work))


async def _ends(database: Database, work: Work) -> None:
    async with WatchedApp(Disk(database.folder, random.Random()), database.ledger) as app:
        database.ledger.violations += await ends(app, work)


def _one_life(worker: subprocess.Popen[bytes], database: Database, work: Work, lines: int | None) -> bool:
    """Let it live until it has printed so many lines, None for ever; return whether it was killed, after a check."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    trees: list[Tree] = list(work.trees)
    worker.stdin.write(orjson.dumps([work.orders, trees]) + b"\n")
    worker.stdin.flush()
    pid, killed, told = 0, False, list[list[str]]()
    while (words := worker.stdout.readline().decode().split()) != ["dead"]:
        if not words:
            database.ledger.violations.append("the process that forks the others has ended")
            return killed
        if words[0] == "alive":
            pid = int(words[1])
        else:
            told.append(words)
        if lines is not None and pid and not killed and len(told) >= lines and ["done"] not in told:
            time.sleep(database.dice.uniform(0, 0.004))
            os.kill(pid, signal.SIGKILL)
            killed = True
    _check(database, told)
    if not killed and ["done"] not in told:
        database.ledger.violations.append("a life that nobody killed did not come to its end")
    return killed


def _check(database: Database, told: list[list[str]]) -> None:
    ledger, stored = database.ledger, database.look()
    world = database.home / "world.txt"
    executed = world.read_text().splitlines() if world.exists() else []
    for line in executed[ledger.begun.total() :]:
        run, key, at_most_once = line.rsplit(" ", 2)
        ledger.begins(run, key, at_most_once=at_most_once == "1")
    for words in told:
        match words:
            case ["entry", run, seq] if (run, int(seq)) not in stored.journal:
                ledger.violations.append(f"entry {seq} of {run} was acknowledged, and is lost")
            case ["ended", run, state] if run not in stored.runs or stored.runs[run].state != state:
                ledger.violations.append(f"{run} had ended as {state}; now {stored.runs.get(run)}")
            case ["started", run]:
                ledger.started.add(run)
            case _:
                pass
    ledger.check(stored)


@contextmanager
def _worker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "chaos.worker", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
