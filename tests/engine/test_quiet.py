"""Nothing is said on stderr that is nobody's fault: no lost tasks, no unread errors, no unclosed files."""

from __future__ import annotations

import pytest

from tests.support.processes import run, written

PREPARE = """
import gc, logging
# What development mode says of callbacks that took long says something of this machine only.
logging.getLogger("asyncio").setLevel(logging.ERROR)

@step
async def quick(i: int = 0) -> int:
    return i

@step
async def endless() -> None:
    await asyncio.Event().wait()

@step
async def failing() -> None:
    raise ValueError("broken")

@step
def plain(i: int) -> int:
    time.sleep(0.001)
    return i

"""

FINISH = """
async def main():
    async with app_on(DATABASE, *WORKFLOWS, linger=0) as app:
        await scene(app)
    gc.collect()

asyncio.run(main())
gc.collect()
print("ended")
"""

SCENES = {
    "everything goes well": """
@workflow
async def child(i: int) -> int:
    return await plain(i)

@workflow
async def well(i: int) -> int:
    a, b = await gather(quick(i), child(i))
    await sleep(0.01)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(quick(j)) for j in range(3)]
    return a + b + sum(task.result() for task in tasks)

WORKFLOWS = [well, child]

async def scene(app):
    handles = [await app.start(well, i) for i in range(20)]
    assert [await handle.result() for handle in handles] == [2 * i + 3 for i in range(20)]
""",
    "a run is parked in the middle of everything": """
@workflow
async def parked() -> None:
    async def branch():
        try:
            try:
                await ask_human("Forever?")
            finally:
                await quick()
        finally:
            await gather(quick(), quick())

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await quick()

    async for number in numbers():
        break
    async with asyncio.timeout(3600):
        async with asyncio.TaskGroup() as group:
            group.create_task(branch())
            group.create_task(sleep(3600))
            await gather(branch(), branch())

WORKFLOWS = [parked]

async def scene(app):
    handle = await app.start(parked, run_id="r")
    await app.story.state("r", RunState.WAITING)
    assert not app.in_memory
    gc.collect()
    await handle.cancel()
    try:
        await handle.result()
    except RunCancelled:
        pass
""",
    "the process leaves while everything is under way": """
@workflow
async def busy() -> None:
    try:
        await gather(endless(), plain(1), sleep(3600), ask_human("Yes?"))
    finally:
        await quick()

WORKFLOWS = [busy]

async def scene(app):
    for i in range(10):
        await app.start(busy)
    await app.story.tells(lambda happening: hasattr(happening, "entry"))
""",
    "branches fail together": """
@workflow
async def fails() -> None:
    await gather(failing(), failing(), endless(), failing())

@workflow
async def fails_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(failing())

WORKFLOWS = [fails, fails_in_a_group]

async def scene(app):
    for workflow in WORKFLOWS:
        try:
            await app.run(workflow)
        except RunFailed:
            pass
        else:
            raise AssertionError
""",
    "tasks are left behind": """
@workflow
async def forgetful() -> str:
    asyncio.create_task(endless())
    asyncio.create_task(sleep(3600))
    asyncio.create_task(quick())
    return "done"

WORKFLOWS = [forgetful]

async def scene(app):
    assert await app.run(forgetful) == "done"
""",
    "a run waits for nothing": """
@workflow
async def stuck() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.Event().wait()

WORKFLOWS = [stuck]

async def scene(app):
    try:
        await app.run(stuck)
    except RunFailed as failure:
        assert failure.error.type == "Deadlock"
    else:
        raise AssertionError
""",
    "somebody gives up waiting": """
@workflow
async def slow() -> None:
    await sleep(3600)

WORKFLOWS = [slow]

async def scene(app):
    handle = await app.start(slow)
    try:
        await handle.result(timeout=0.01)
    except TimeoutError:
        pass
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    waiting.cancel()
    starting = asyncio.create_task(app.start(slow, run_id="r"))
    await asyncio.sleep(0)
    starting.cancel()
    await app.story.state("r", RunState.WAITING)
""",
    "the code has changed": """
@workflow(name="same")
async def before() -> None:
    await quick()
    await sleep(0.05)

@workflow(name="same")
async def after() -> None:
    try:
        await gather(plain(1), endless())
    finally:
        await quick()

WORKFLOWS = [after]

async def scene(app):
    await app.story.state("r", RunState.BLOCKED)

async def prepare():
    async with app_on(DATABASE, before, linger=0) as app:
        await app.start(before, run_id="r")
        await app.story.state("r", RunState.WAITING)

asyncio.run(prepare())
""",
    "the database is lost": """
import sqlite3

@workflow
async def busy(i: int) -> None:
    while True:
        await gather(quick(), plain(1))

WORKFLOWS = [busy]

async def scene(app):
    logging.disable(logging.ERROR)
    handles = [await app.start(busy, i) for i in range(10)]
    waiting = [asyncio.create_task(handle.result()) for handle in handles]
    unheard = [asyncio.create_task(handle.result(timeout=0.001)) for handle in handles]
    connection = sqlite3.connect(DATABASE, timeout=10)
    with connection:
        connection.execute("UPDATE owner SET epoch = epoch + 1")
    connection.close()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, StorageUnavailable), result
    await asyncio.gather(*unheard, return_exceptions=True)
    logging.disable(logging.NOTSET)
""",
}


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_said_when(tmp_path, database, scene):
    program = written(tmp_path, PREPARE + SCENES[scene] + FINISH)
    ended = run(program, database, "-X", "dev", "-W", "error", timeout=30)
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert ended.stdout == "ended\n"
