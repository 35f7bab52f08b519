"""Programs made at random, on the real engine, which is stopped again and again in the middle of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from podium import RunState, workflow
from podium.domain.journal import DELIVERED
from podium.domain.states import TERMINAL_RUN_STATES
from podium.flow.results import Completed, Errored
from tests.support.apps import App, app_on, some, until
from tests.support.programs import a_program
from tests.support.replay import Life

RUNS = 60
SCALE = 0.01


@workflow
async def anything(seed: int, leaves: int) -> str:
    return str(await a_program(seed, leaves, SCALE)([]))


async def one_life(app: App, lasts: int) -> bool:
    """Work on the runs until that many things are on disk; return whether all have ended."""
    handles = await asyncio.gather(
        *[app.start(anything, seed, 2 + seed % 16, run_id=f"r{seed}") for seed in range(RUNS)]
    )
    ended = asyncio.gather(*[handle.result() for handle in handles], return_exceptions=True)
    enough = asyncio.create_task(until(lambda: len(app.story.happenings) >= lasts))
    either: list[asyncio.Future[Any]] = [ended, enough]
    done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    enough.cancel()
    return ended in done


async def test_stopped_at_any_point_they_go_on_as_if_nothing_had_been(database):
    dice = random.Random(7)
    lives = 0
    while True:
        async with app_on(database, anything, linger=dice.choice([0, 1]), max_active_runs=30) as app:
            if await one_life(app, lasts=dice.randint(20, 70)):
                break
        lives += 1
    assert lives >= 3

    async with app_on(database, anything) as app:
        states = Counter([run.state for run in await app.list(limit=RUNS)])
        assert set(states) <= TERMINAL_RUN_STATES
        assert states[RunState.COMPLETED] > RUNS / 3
        for seed in range(RUNS):
            await check(app, seed)


async def check(app: App, seed: int) -> None:
    """The journal holds each outcome once, and a replay of it comes to what was stored."""
    run = await app.runs.get(f"r{seed}")
    entries = [entry for entry in await app.journal(run.id) if entry.type in DELIVERED]
    assert max(Counter(entry.key for entry in entries).values(), default=1) == 1
    life = Life(a_program(seed, 2 + seed % 16, SCALE), run.seed, some(run.started_at))
    for entry in entries:
        life.deliver(entry)
    match life.execution.result:
        case Completed(value):
            assert run.output == f'"{value}"'.encode()
        case Errored(error):
            assert run.error == error
        case other:
            raise AssertionError(f"{run.id} did not end when replayed: {other}")
    life.execution.close()
