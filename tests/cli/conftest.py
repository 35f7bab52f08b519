"""What the tests of the command may use: an empty folder, and a desk whose job has ended."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.support import FLOWS, TICKETS, Ended, Shell, job_arguments, serving
from tests.wire import Received, WireServer


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty folder to call `podium` in."""
    return Shell(tmp_path)


@pytest.fixture
def flows(shell: Shell) -> Shell:
    """A folder with the workflows of `flows.py` in it."""
    shutil.copy(FLOWS, shell.folder)
    return shell


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    """A model service for the desk, which a test may script otherwise."""
    async with serving() as running:
        yield running


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """The desk's job on all its tickets, run twice. Nobody writes to `shell`'s folder: take a copy for that.

    `received` are the requests of the first run, `again` those of the second.
    """

    shell: Shell
    first: Ended
    second: Ended
    received: list[Received]
    again: list[Received]
    outbox_before: dict[str, str]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedJob:
    """The desk's job, ended."""
    shell = Shell(tmp_path_factory.mktemp("desk"))

    async def work() -> FinishedJob:
        async with serving() as server:
            arguments = list(job_arguments(TICKETS, server))
            first = await shell.job(*arguments)
            outbox, count = shell.outbox(), len(server.requests)
            second = await shell.job(*arguments)
        return FinishedJob(shell, first, second, server.requests[:count], server.requests[count:], outbox)

    return asyncio.run(work())


@pytest.fixture
def desk(finished: FinishedJob, tmp_path: Path) -> Shell:
    """A copy of the finished job's folder, to do with as a test likes."""
    shutil.copytree(finished.shell.folder, tmp_path / "desk")
    return Shell(tmp_path / "desk")
