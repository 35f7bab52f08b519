"""Long conversations: what a run of many model calls leaves in its database, and what it is worth afterwards."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from podium import DecisionVerdict, RunBlocked, ask_human, prompt, step, workflow
from podium.app.timeline import Timeline
from podium.ports.models import ModelRequest
from podium.providers.scripted import Script
from tests.support.apps import app_on, some
from tests.support.prose import prose

CALLS = 400
TURN = 950

go_on = prompt("go_on", "You are told this:\n{told}\nGo on.", models=["scripted:teller"])


@workflow
async def conversation(calls: int) -> int:
    """Ask so many times, each time with all that has been said; return the length of that in characters."""
    told: list[str] = []
    for number in range(calls):
        told.append(f"user: {prose(TURN, seed=number)}")
        answer = await go_on(told="\n".join(told))
        told.append(f"assistant: {answer.value}")
    return len("\n".join(told))


@step
async def longer(told: list[str]) -> list[str]:
    """Return what was told and another turn."""
    return [*told, prose(TURN, seed=len(told))]


@workflow
async def told_by_steps(turns: int) -> int:
    """Let a step add to a list of turns so many times; return the length of all of them in characters."""
    told: list[str] = []
    for _ in range(turns):
        told = await longer(told)
    return sum(map(len, told))


@step
async def page(name: str) -> str:
    """Return a page of text."""
    return prose(20_000, seed=name)


@workflow
async def read_by_a_person(name: str) -> int:
    """Show a person a page; return its length in characters."""
    text = await page(name)
    await ask_human("Is this so?", proposal="yes")
    return len(text)


@dataclass
class Database:
    """A database whose size is looked at from outside, time and again."""

    path: Path
    sizes: list[int] = field(default_factory=list)

    def look(self) -> None:
        with closing(sqlite3.connect(self.path)) as raw:
            (pages,), (page,) = (
                raw.execute("PRAGMA page_count").fetchone(),
                raw.execute("PRAGMA page_size").fetchone(),
            )
        self.sizes.append(pages * page)

    @property
    def growth(self) -> int:
        return self.sizes[-1] - self.sizes[0]

    def quarters(self) -> list[int]:
        """What was added in each quarter of the looks."""
        marks = [self.sizes[len(self.sizes) * quarter // 4 - bool(quarter)] for quarter in range(5)]
        return [later - sooner for sooner, later in itertools.pairwise(marks)]


def teller(database: Database) -> Script:
    def say(request: ModelRequest) -> str:
        database.look()
        return prose(50, seed=f"answer {len(database.sizes)}")

    return Script(say)


def prompts(timeline: Timeline) -> list[str]:
    return [some(attempt.call).prompt for operation in timeline.operations for attempt in operation.attempts]


async def test_a_conversation_of_many_calls_grows_as_what_is_said_and_not_as_what_is_sent(tmp_path: Path):
    database = Database(tmp_path / "podium.db")
    async with app_on(database.path, conversation, scripts={"teller": teller(database)}) as app:
        run = await app.start(conversation, CALLS)
        said = await run.result(timeout=100)
        database.look()
        sent = prompts(await app.timeline(run.id))
    first, *_, last = database.quarters()
    assert said > CALLS * 1000
    assert last < 1.3 * first
    assert database.growth < 3 * said
    assert len(sent) == CALLS
    assert sum(map(len, sent)) > 100 * said
    turns = [
        f"user: {prose(TURN, seed=0)}\nassistant: {prose(50, seed='answer 1')}\nuser: {prose(TURN, seed=1)}\n"
    ]
    assert all(turns[0] in text for text in sent[1:])


async def test_results_that_grow_from_step_to_step_are_kept_once_too(tmp_path: Path):
    database = Database(tmp_path / "podium.db")
    async with app_on(database.path, told_by_steps) as app:
        database.look()
        run = await app.start(told_by_steps, 200)
        told = await run.result(timeout=100)
        database.look()
    assert told == 200 * TURN
    # Half as many whole lists as there are turns would be a hundred times what was told.
    assert database.growth < 5 * told


async def test_a_run_whose_journal_has_lost_a_piece_is_blocked_and_the_others_go_on(tmp_path: Path):
    path = tmp_path / "podium.db"
    async with app_on(path, read_by_a_person) as app:
        for name in ("lost", "fine"):
            await app.start(read_by_a_person, name, run_id=name)
        await app.idle()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(
            "DELETE FROM blobs WHERE digest = (SELECT payload_digest FROM journal JOIN runs ON number = run_number "
            "WHERE id = 'lost' AND payload_digest IS NOT NULL)"
        )
        assert raw.total_changes == 1
        raw.commit()
    async with app_on(path, read_by_a_person) as app:
        for review in await app.reviews.list():
            await app.reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="ada")
        lost, fine = [await app.get(name) for name in ("lost", "fine")]
        assert await fine.result(timeout=20) == 20_000
        with pytest.raises(RunBlocked, match=r"has lost entry 1 \('0:page#1'\) of run 'lost'"):
            await lost.result(timeout=20)
