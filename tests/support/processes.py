"""Programs that run workflows in a process of their own, and may be killed at any moment."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREAMBLE = """\
import asyncio, os, signal, sys, threading, time
from pathlib import Path
from podium import *
from tests.support.apps import app_on

DATABASE = Path(sys.argv[1])


def note(line):
    # One write, at the end of the file, whoever else writes: what a step does to the world.
    file = os.open(DATABASE.with_name("world.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\\n".encode())
    os.close(file)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


"""


def written(tmp_path: Path, program: str) -> Path:
    """Write a program, to be run with the path of a database, and return its path."""
    path = tmp_path / "program.py"
    path.write_text(PREAMBLE + textwrap.dedent(program))
    return path


def run(
    program: Path, database: Path, *options: str, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, be that a natural one or not; `options` are Python's own."""
    command = [sys.executable, *options, str(program), str(database)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False, env=_environment()
    )


@contextmanager
def running(program: Path, database: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that runs until the block ends, at the latest."""
    command = [sys.executable, str(program), str(database)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=_environment()
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def world(database: Path) -> list[str]:
    """What the steps of a program have noted outside, in order."""
    path = database.with_name("world.txt")
    return path.read_text().splitlines() if path.exists() else []


def _environment() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
