"""Time and chance inside a run: durable sleeps, and a clock and dice that give the same on every replay."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
import time
import uuid as uuids

import pytest

from podium import RunFailed, RunState, now, random, sleep, step, uuid, workflow
from podium.domain.ids import RunId
from podium.domain.runs import Run
from podium.engines.embedded.alarm import Alarm
from podium.engines.embedded.engine import EmbeddedEngine
from podium.settings import EngineSettings, StorageSettings
from podium.storage.sqlite.database import open_sqlite
from tests.support.apps import all_are, app_on, outcomes, patiently, some, until


@workflow
async def nap(seconds: float) -> str:
    await sleep(seconds)
    return "rested"


async def test_a_short_sleep_stays_in_memory(database):
    async with app_on(database, nap) as app:
        began = time.monotonic()
        assert await app.run(nap, 0.05, run_id="r") == "rested"
        assert time.monotonic() - began >= 0.05
        assert app.story.moves("r") == [RunState.RUNNING, RunState.COMPLETED]
        assert outcomes(await app.journal("r")) == ["0:sleep#1=done"]


async def test_a_long_sleep_leaves_memory_until_the_engine_wakes_the_run(database):
    async with app_on(database, nap, linger=0.01) as app:
        asked = time.time()
        handle = await app.start(nap, 0.5, run_id="r")
        parked = await app.story.state("r", RunState.WAITING)
        assert not app.in_memory
        assert asked + 0.5 <= some(parked.wake_at) <= parked.at + 0.5
        stored = await app.runs.get("r")
        assert (stored.wake_at, stored.waiting_on) == (parked.wake_at, "a timer")
        assert await handle.result() == "rested"
        assert time.time() >= some(parked.wake_at)
        assert app.story.moves("r") == [
            RunState.RUNNING,
            RunState.WAITING,
            RunState.RUNNING,
            RunState.COMPLETED,
        ]


async def test_a_sleeping_run_is_woken_after_a_restart_even_when_its_time_came_meanwhile(database):
    async with app_on(database, nap, linger=0) as app:
        await app.start(nap, 0.1, run_id="due meanwhile")
        await app.start(nap, 0.4, run_id="due later")
        await app.story.state("due later", RunState.WAITING)
        await app.story.state("due meanwhile", RunState.WAITING)
    await asyncio.sleep(0.1)
    async with app_on(database, nap, linger=0) as app:
        assert app.taken_up == 0
        for run_id in ("due meanwhile", "due later"):
            assert await (await app.get(run_id)).result() == "rested"


async def test_a_thousand_sleepers_are_woken_by_one_alarm(database):
    async with app_on(database, nap, linger=0, max_active_runs=100) as app:
        handles = await asyncio.gather(*[app.start(nap, 0.3) for _ in range(1000)])
        assert await asyncio.gather(*[handle.result() for handle in handles]) == ["rested"] * 1000


async def test_runs_of_workflows_that_are_not_known_here_do_not_keep_others_asleep(database):
    @workflow
    async def foreign() -> None:
        await sleep(3600)

    async with app_on(database, foreign, linger=0) as app:
        await asyncio.gather(*[app.start(foreign) for _ in range(600)])
        await until(lambda: all_are(app, RunState.WAITING, 600))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE runs SET wake_at = wake_at - 7200")
    connection.close()
    async with app_on(database, nap, linger=0) as app, patiently():
        assert await app.run(nap, 0.05) == "rested"


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf"), datetime.timedelta(seconds=-1)])
async def test_a_duration_that_is_none_is_refused(database, duration):
    @workflow
    async def confused() -> None:
        await sleep(duration)

    async with app_on(database, confused) as app:
        with pytest.raises(RunFailed, match="InvalidInput: sleep"):
            await app.run(confused)


async def test_a_clock_that_steps_backwards_neither_loses_a_sleep_nor_turns_the_runs_time_back(database):
    clock = Clock()
    seen = []

    @step
    async def look(label: str) -> None:
        clock.step(-3600)

    @workflow
    async def watcher() -> str:
        for label in ("a", "b", "c"):
            seen.append(now())
            await look(label)
        await sleep(0.03)
        seen.append(now())
        return "done"

    storage = await open_sqlite(database, settings=StorageSettings(), own=True)
    told: asyncio.Queue[RunState] = asyncio.Queue()
    engine = engine_on(storage, watcher, clock, told)
    await engine.start()
    await engine.submit(Run(RunId("r"), "watcher", b"{}", 1, clock()))
    async with patiently():
        while (moved := await told.get()) is not RunState.COMPLETED:
            assert moved is not RunState.FAILED
    await engine.close()
    await storage.close()
    assert seen == sorted(seen)


async def test_a_parked_run_sleeps_until_the_clock_on_the_wall_says_so(database):
    clock = Clock()
    storage = await open_sqlite(database, settings=StorageSettings(), own=True)
    told: asyncio.Queue[RunState] = asyncio.Queue()
    engine = engine_on(storage, nap, clock, told)
    await engine.start()
    await engine.submit(Run(RunId("r"), "nap", b'{"seconds": 0.05}', 1, clock()))
    async with patiently():
        while await told.get() is not RunState.WAITING:
            pass
        clock.step(-3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(told.get(), 0.15)
        clock.step(+7200)
        engine.look()
        assert [await told.get(), await told.get()] == [RunState.RUNNING, RunState.COMPLETED]
    await engine.close()
    await storage.close()


class Clock:
    """The system's clock, as somebody sets it."""

    def __init__(self) -> None:
        self._offset = 0.0

    def __call__(self) -> float:
        return time.time() + self._offset

    def step(self, seconds: float) -> None:
        self._offset += seconds


def engine_on(storage, workflow, clock, told) -> EmbeddedEngine:
    from podium.domain.operations import OperationKind
    from podium.engines.embedded.queues import Queues
    from podium.flow.catalog import WorkflowCatalog
    from podium.flow.step_executor import StepExecutor
    from podium.storage.queues import StoredQueues

    def tell(happening) -> None:
        if hasattr(happening, "state"):
            told.put_nowait(happening.state)

    settings = EngineSettings(poll_interval=0.01, linger=0.01)
    executors = {OperationKind.STEP: StepExecutor(1)}
    queues = Queues(StoredQueues(storage, 16_384), (), clock)
    return EmbeddedEngine(storage, WorkflowCatalog([workflow]), executors, settings, tell, queues, clock)


async def test_clock_and_dice_give_the_same_when_the_run_is_replayed(database):
    drawn, gate = [], asyncio.Event()

    @step
    async def pause(i: int) -> None:
        if i == 1:
            await gate.wait()

    @workflow
    async def gambler() -> list[str]:
        throws = []
        for i in range(3):
            throws += [now().isoformat(), str(uuid()), str(random()), str(asyncio.get_running_loop().time())]
            drawn.append(list(throws))
            await pause(i)
        return throws

    async with app_on(database, gambler) as app:
        await app.start(gambler, run_id="r")
        await until(lambda: len(drawn) == 2)
        first_life = list(drawn)
    gate.set()
    drawn.clear()
    async with app_on(database, gambler) as app:
        result = await (await app.get("r")).result()
        second_life = list(drawn)
    assert second_life[:2] == first_life
    assert result == second_life[2]
    times, throws = result[0::4], result[1::4] + result[2::4]
    assert times == sorted(times)
    assert len(set(throws)) == 6
    assert uuids.UUID(result[1]).version == 4
    assert datetime.datetime.fromisoformat(times[0]).tzinfo is datetime.UTC
    assert 0 <= float(result[2]) < 1


async def test_two_runs_draw_different_numbers(database):
    @workflow
    async def draw() -> str:
        return f"{uuid()} {random()}"

    async with app_on(database, draw) as app:
        assert await app.run(draw) != await app.run(draw)


async def test_a_runs_time_begins_when_its_code_does_and_not_while_it_is_pending(database):
    free = asyncio.Event()

    @step
    async def occupy() -> None:
        await free.wait()

    @workflow
    async def first() -> None:
        await occupy()

    @workflow
    async def second() -> float:
        before = now()
        async with asyncio.timeout(10):
            await sleep(0.05)
        return (now() - before).total_seconds()

    async with app_on(database, first, second, max_active_runs=1) as app:
        await app.start(first)
        handle = await app.start(second, run_id="r")
        created = (await app.runs.get("r")).created_at
        await asyncio.sleep(0.1)
        free.set()
        assert await handle.result() >= 0.05
        run = await app.runs.get("r")
    assert run.started_at is not None
    assert run.started_at - created >= 0.1


async def test_an_alarm_notices_that_the_clock_was_set_forward():
    clock, rung = Clock(), asyncio.Event()
    alarm = Alarm(clock, rung.set, longest=0.02)
    alarm.set(clock() + 3600)
    clock.step(+7200)
    async with patiently():
        await rung.wait()
    alarm.cancel()


async def test_an_alarm_rings_for_the_earliest_of_all_times():
    rung: list[float] = []
    alarm = Alarm(time.time, lambda: rung.append(time.time()))
    began = time.time()
    for seconds in (100, 0.03, 50):
        alarm.set(began + seconds)
    await until(lambda: rung)
    assert 0.02 <= rung[0] - began < 50
    alarm.set(time.time() + 0.01)
    alarm.cancel()
    await asyncio.sleep(0.03)
    assert len(rung) == 1
