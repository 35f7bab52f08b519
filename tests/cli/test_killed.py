"""Whatever moment a job is stopped at, it goes on from there: nothing finished is repeated, nothing is lost.

All of it is seen from outside: in the files after each death, and in what the model service is asked later.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import REPLY, TICKETS, Shell, asked, ended, is_answer, job_arguments, model, rows
from tests.wire import Received, Reply, Said, WireServer

KILLS = 5
"""How often each of the four jobs is killed: 20 times together."""

JOURNAL = (
    "SELECT runs.id, seq, type, kind, key, name, fingerprint, attempt, payload, payload_digest, journal.at"
    " FROM journal JOIN runs ON runs.number = journal.run_number"
)


@dataclass(slots=True)
class Seen:
    """What a look at the files of a job that had died showed."""

    journal: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    outbox: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def answered(self) -> set[tuple[str, str]]:
        """The model calls whose answer is recorded: run and prompt."""
        return {(row[0], row[5]) for row in self.journal.values() if row[2] == "done" and row[3] == "model"}


class Job:
    """A job on some of the desk's tickets, and everything that is asked of its model."""

    def __init__(self, shell: Shell, server: WireServer, dice: random.Random) -> None:
        lines = [json.loads(line.decode("utf-8", "replace")) for line in TICKETS.read_bytes().splitlines()]
        self.tickets = {line["id"]: line for line in lines[12:36]}
        self.shell = shell
        self.server = server
        self.arguments = list(job_arguments(shell.write("tickets.jsonl", *self.tickets.values()), server))
        server.always(lambda request: slowly(request, dice))

    def asked(self, request: Received) -> tuple[str, str]:
        """The run and the prompt that a request is of."""
        text = asked(request)
        (run,) = [
            ticket["id"]
            for ticket in self.tickets.values()
            if ticket["text"] and f"{ticket['subject']}\n{ticket['text'][:80]}".strip() in text
        ]
        return run, "answer_ticket" if is_answer(request) else "classify_intent"

    async def begun(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the first request; return False when the process ends without one."""
        while not self.server.requests:
            if process.poll() is not None:
                return False
            await asyncio.sleep(0.005)
        return True

    def look(self, copy: Path) -> Seen:
        """Look into a copy of the files: looking into them would tidy up after the dead."""
        copy.mkdir()
        for file in self.shell.folder.glob("*.db*"):
            if file.is_file() and not file.name.endswith("-shm"):
                shutil.copy(file, copy)
        seen = Seen()
        assert rows_of(copy / "podium.db", "PRAGMA integrity_check") == [("ok",)]
        seen.journal = {(row[0], row[1]): row for row in rows_of(copy / "podium.db", JOURNAL)}
        seen.states = dict(rows_of(copy / "podium.db", "SELECT id, state FROM runs"))
        if (copy / "outbox.db").exists():
            sent = rows_of(copy / "outbox.db", "SELECT ticket_id, message_key, body, sent_at FROM outbox")
            seen.outbox = {row[0]: row for row in sent}
        return seen


def rows_of(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Read an SQLite file; one that its owner had not finished making holds nothing."""
    made = rows(path, "SELECT count(*) FROM sqlite_master WHERE name IN ('runs', 'outbox')")
    return rows(path, query) if made != [(0,)] else []


def slowly(request: Received, dice: random.Random) -> Reply:
    """The desk's model, after a while, so that deaths come before, within and after its answers."""
    said = model(request)
    assert isinstance(said, Said)
    return Said(said.pieces, said.logprobs, cost=said.cost, delay=dice.uniform(0.02, 0.12))


def nothing_is_lost(before: Seen, after: Seen) -> None:
    """What was recorded at an earlier look is still there at a later one, unchanged."""
    assert before.journal.items() <= after.journal.items()
    assert before.outbox.items() <= after.outbox.items()
    final = {run: state for run, state in before.states.items() if state in {"completed", "waiting"}}
    assert final.items() <= after.states.items()


def nothing_is_repeated(seen: Seen, job: Job, requests: list[Received]) -> None:
    """Nothing is asked again whose answer was recorded."""
    assert not seen.answered & {job.asked(request) for request in requests}


def all_is_well(job: Job, seen: Seen) -> None:
    """Every ticket has ended, and exactly the completed ones were answered, each once."""
    completed = {run for run, state in seen.states.items() if state == "completed"}
    assert seen.states.keys() == job.tickets.keys()
    assert set(seen.states.values()) <= {"completed", "waiting"}
    assert {run: row[2] for run, row in seen.outbox.items()} == dict.fromkeys(completed, REPLY)
    assert len({row[1] for row in seen.outbox.values()}) == len(completed)
    outcomes = [row[0:1] + row[4:5] for row in seen.journal.values() if row[2] in {"done", "error"}]
    assert len(set(outcomes)) == len(outcomes)
    sent = [row[0] for row in seen.journal.values() if row[2] == "done" and row[5] == "send"]
    assert sorted(sent) == sorted(completed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
async def test_kill_9_at_random_moments_repeats_nothing_and_loses_nothing(
    tmp_path: Path, server: WireServer, seed: int
):
    dice, kills, round_ = random.Random(seed), 0, 0
    while kills < KILLS:
        round_ += 1
        folder = tmp_path / f"round-{round_}"
        folder.mkdir()
        job = Job(Shell(folder), server, dice)
        kills += await killed_until_it_ends(job, dice, tmp_path, KILLS - kills)


async def killed_until_it_ends(job: Job, dice: random.Random, copies: Path, most: int) -> int:
    """Kill the job at random moments, at most so often, and let it end; return how often it was killed."""
    seen, kills = Seen(), 0
    while True:
        job.server.requests.clear()
        process = job.shell.start(*job.arguments)
        if kills < most and await job.begun(process):
            await asyncio.sleep(dice.uniform(0.05, 0.4))
            process.kill()
        told = await asyncio.to_thread(ended, process)
        requests = list(job.server.requests)
        now = job.look(copies / f"{job.shell.folder.name}-look-{kills}-{time.monotonic_ns()}")
        nothing_is_repeated(seen, job, requests)
        nothing_is_lost(seen, now)
        seen = now
        if told.code == -signal.SIGKILL:
            kills += 1
            continue
        assert told.code == 0
        all_is_well(job, now)
        assert "waiting for a person, 0 failed" in told.out
        return kills


@pytest.mark.timeout(300)
async def test_ctrl_c_ends_the_job_soon_and_it_goes_on_where_it_was(tmp_path: Path, server: WireServer):
    folder = tmp_path / "desk"
    folder.mkdir()
    dice = random.Random(7)
    job = Job(Shell(folder), server, dice)
    seen = Seen()
    for count, number in enumerate((signal.SIGINT, signal.SIGTERM)):
        job.server.requests.clear()
        process = job.shell.start(*job.arguments)
        assert await job.begun(process)
        await asyncio.sleep(0.1)
        process.send_signal(number)
        asked_at = time.monotonic()
        told = await asyncio.to_thread(ended, process)
        assert time.monotonic() - asked_at < 20
        assert told.code == 130
        assert told.err == (
            "podium: interrupted. What is finished is kept; the same command goes on from here.\n"
        )
        now = job.look(tmp_path / f"look-{count}")
        nothing_is_repeated(seen, job, list(job.server.requests))
        nothing_is_lost(seen, now)
        seen = now
    job.server.requests.clear()
    last = await job.shell.job(*job.arguments)
    assert last.code == 0
    assert "none of that is repeated" in last.out
    nothing_is_repeated(seen, job, list(job.server.requests))
    final = job.look(tmp_path / "last")
    nothing_is_lost(seen, final)
    all_is_well(job, final)
