"""What runs publish while they work, and steps that show that they are alive."""

from __future__ import annotations

import asyncio
import time

import pytest

from podium import NotInRun, RunFailed, StepStalled, gather, heartbeat, publish, step, workflow
from podium.domain.chunks import Chunk
from tests.support.apps import App, app_on, patiently, until


async def read(app: App, run_id: str, after: int = 0) -> list[Chunk]:
    async with patiently():
        return [chunk async for chunk in app.stream(run_id, after)]


def seen(chunks: list[Chunk]) -> list[object]:
    return ["superseded" if chunk.superseded else chunk.value for chunk in chunks]


async def test_steps_and_workflow_publish_in_order(database):
    @step
    async def tells() -> None:
        for n in range(3):
            await publish({"n": n})

    @step
    def tells_in_a_thread() -> None:
        publish("from a thread")

    @workflow
    async def all_of_it() -> None:
        await publish("begin")
        await tells()
        await tells_in_a_thread()
        await publish("end")

    async with app_on(database, all_of_it) as app:
        await app.run(all_of_it, run_id="r")
        chunks = await read(app, "r")
        assert seen(chunks) == ["begin", {"n": 0}, {"n": 1}, {"n": 2}, "from a thread", "end"]
        assert [(chunk.key, chunk.attempt, chunk.offset) for chunk in chunks[1:4]] == [
            ("0:tells#1", 1, offset) for offset in range(3)
        ]


async def test_a_stream_is_read_while_it_grows_and_from_where_one_was(database):
    go_on = asyncio.Event()

    @step
    async def tells() -> None:
        await publish(1)
        await go_on.wait()
        await publish(2)

    @workflow
    async def one() -> None:
        await tells()

    async with app_on(database, one) as app:
        run = await app.start(one)
        stream = run.stream()
        first = await anext(stream)
        assert first.value == 1
        go_on.set()
        assert [chunk.value async for chunk in stream] == [2]
        assert seen(await read(app, run.id, after=first.position)) == [2]


async def test_a_retried_attempt_marks_what_it_published_before_as_superseded(database):
    tries = []

    @step(retries=1, backoff=0.001)
    async def tells() -> None:
        tries.append(1)
        await publish(f"try {len(tries)}")
        if len(tries) == 1:
            raise ValueError("no")

    @workflow
    async def one() -> None:
        await tells()

    async with app_on(database, one) as app:
        await app.run(one, run_id="r")
        chunks = await read(app, "r")
        assert seen(chunks) == ["try 1", "superseded", "try 2"]
        assert [chunk.attempt for chunk in chunks] == [1, 1, 2]


async def test_an_attempt_that_died_with_its_process_is_superseded_too(database):
    told = asyncio.Event()
    dies = True

    @step
    async def tells() -> None:
        await publish("half")
        told.set()
        if dies:
            await asyncio.Event().wait()

    @workflow
    async def one() -> None:
        await publish("begin")
        await tells()

    async with app_on(database, one) as app:
        await app.start(one, run_id="r")
        await told.wait()
    dies = False
    async with app_on(database, one) as app:
        await (await app.get("r")).result()
        assert seen(await read(app, "r")) == ["begin", "half", "superseded", "half"]


def test_outside_runs_and_steps_there_is_nobody_to_publish_to():
    with pytest.raises(NotInRun):
        publish(1)


async def test_a_step_that_stops_beating_is_started_again(database):
    tries = []

    @step(heartbeat=0.05)
    async def hangs_once() -> int:
        tries.append(time.monotonic())
        if len(tries) == 1:
            await asyncio.Event().wait()
        return len(tries)

    @workflow
    async def one() -> int:
        return await hangs_once()

    async with app_on(database, one) as app:
        assert await app.run(one, run_id="r") == 2
        (operation,) = (await app.timeline("r")).operations
        assert operation.attempts[0].error is not None
        assert operation.attempts[0].error.type == StepStalled.__name__


async def test_a_step_that_beats_may_take_as_long_as_it_likes(database):
    # They take longer than a heartbeat may be late, which is far longer than it is.
    @step(heartbeat=0.6)
    async def long() -> str:
        for _ in range(16):
            await asyncio.sleep(0.05)
            heartbeat()
        return "done"

    @step(heartbeat=0.6)
    def long_in_a_thread() -> str:
        for _ in range(16):
            time.sleep(0.05)
            heartbeat()
        return "done"

    @workflow
    async def both() -> list[str]:
        return list(await gather(long(), long_in_a_thread()))

    async with app_on(database, both) as app:
        assert await app.run(both) == ["done", "done"]


async def test_one_that_hangs_every_time_fails_in_the_end(database):
    @step(heartbeat=0.01, backoff=0)
    async def hangs() -> None:
        await asyncio.Event().wait()

    @step(heartbeat=0.01, at_most_once=True)
    async def hangs_once() -> None:
        await asyncio.Event().wait()

    @workflow
    async def one() -> None:
        await hangs()

    @workflow
    async def once() -> None:
        await hangs_once()

    async with app_on(database, one, once) as app:
        with pytest.raises(RunFailed, match="after 4 attempts: StepStalled"):
            await app.run(one)
        with pytest.raises(RunFailed, match="StepStalled"):
            await app.run(once)


async def test_its_clean_up_is_awaited_before_it_is_started_again(database):
    said = []

    @step(heartbeat=0.03, backoff=0)
    async def cleans() -> None:
        said.append("begin")
        if said.count("begin") == 1:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.005)
                said.append("cleaned")

    @workflow
    async def one() -> None:
        await cleans()

    async with app_on(database, one) as app:
        await app.run(one)
    await until(lambda: len(said) == 3)
    assert said == ["begin", "cleaned", "begin"]
