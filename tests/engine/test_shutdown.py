"""Leaving: `Podium` closes, and the process ends, whatever the steps are doing."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from podium import RunState, StorageUnavailable, sleep, step, workflow
from podium.engines.embedded import engine
from tests.support.apps import app_on
from tests.support.processes import run, written


async def test_steps_under_way_are_cancelled_and_their_clean_up_is_awaited(database):
    log, working = [], asyncio.Event()

    @step
    async def work() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            log.append("cleaned")

    @workflow
    async def one() -> None:
        try:
            await work()
        finally:
            log.append("the workflow was not cancelled, only dropped")

    async with app_on(database, one) as app:
        await app.start(one, run_id="r")
        await working.wait()
    assert log == ["the workflow was not cancelled, only dropped", "cleaned"]
    async with app_on(database, one) as app:
        assert (await app.runs.get("r")).state is RunState.RUNNING


async def test_a_step_given_up_long_ago_is_awaited_too(database):
    log, working, door = [], asyncio.Event(), asyncio.Event()

    @step
    async def slow_to_leave() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            await door.wait()
            log.append("left")

    @step
    async def begun() -> None:
        await working.wait()

    @workflow
    async def gives_up() -> str:
        task = asyncio.create_task(slow_to_leave())
        await begun()
        task.cancel()
        return "done"

    async with app_on(database, gives_up) as app:
        assert await app.run(gives_up) == "done"
        assert not log
        asyncio.get_running_loop().call_later(0.05, door.set)
    assert log == ["left"]


async def test_a_step_that_ignores_its_cancellation_does_not_hold_up_the_exit(database, monkeypatch, caplog):
    monkeypatch.setattr(engine, "_PATIENCE", 0.1)
    working = asyncio.Event()

    @step
    async def deaf() -> None:
        working.set()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    @workflow
    async def one() -> None:
        await deaf()

    async with app_on(database, one) as app:
        await app.start(one, run_id="r")
        await working.wait()
        began = time.monotonic()
    # Without an end to its patience it would wait for an hour.
    assert time.monotonic() - began < 20
    assert "0:deaf#1 of run 'r' ignores its cancellation and is ended where it stands" in caplog.text
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_plain_step_that_hangs_does_not_hold_up_the_exit(database):
    release, working = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @step
    def hangs() -> None:
        loop.call_soon_threadsafe(working.set)
        release.wait()

    @workflow
    async def one() -> None:
        await hangs()

    async with app_on(database, one) as app:
        await app.start(one)
        await working.wait()
        began = time.monotonic()
    # It would wait for ever.
    assert time.monotonic() - began < 20
    release.set()


async def test_whoever_still_waits_for_a_result_is_told_that_it_will_not_come_here(database):
    @workflow
    async def sleeper() -> None:
        await sleep(3600)

    async with app_on(database, sleeper) as app:
        handle = await app.start(sleeper, run_id="r")
        waiting = asyncio.create_task(handle.result())
        await app.story.state("r", RunState.WAITING)
    with pytest.raises(
        StorageUnavailable, match="Podium has been closed; the run goes on when it is opened again"
    ):
        await waiting


PROGRAM = """
at_work = 0

def begin() -> None:
    global at_work
    print("working", flush=True)
    at_work += 1

@step
async def deaf() -> None:
    begin()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@step
def hangs() -> None:
    begin()
    threading.Event().wait()

@workflow
async def stuck() -> None:
    await gather(deaf(), hangs())

async def main():
    from podium.engines.embedded import engine
    engine._PATIENCE = 0.2
    async with app_on(DATABASE, stuck) as app:
        await app.start(stuck)
        while at_work < 2:
            await asyncio.sleep(0.01)

asyncio.run(main())
print("ended")
"""


def test_the_process_ends_although_steps_hang(tmp_path, database):
    ended = run(written(tmp_path, PROGRAM), database, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["working", "working", "ended"]
    (complaint,) = ended.stderr.splitlines()
    assert "ignores its cancellation and is ended where it stands" in complaint
