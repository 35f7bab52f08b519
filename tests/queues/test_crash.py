"""kill -9 while a queue is full: nothing is lost, nothing runs twice, no limit is overstepped."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from tests.support.apps import some
from tests.support.processes import run, running, world, written

RUNS, KILLS, AT_ONCE = 60, 6, 4

JOB = f"""
@step(at_most_once=True)
async def attend(i: int) -> int:
    note(f"run {{i}}")
    return i

@workflow(queue="q")
async def job(i: int) -> int:
    await sleep(0.002)
    return await attend(i)

async def main():
    limits = [Queue("q", concurrency={AT_ONCE}, max_depth={RUNS})]
    async with app_on(DATABASE, job, queues=limits) as app:
        app.subscribe(lambda happening: os.write(1, b"."))
        starts = [app.start(job, i, run_id=f"run-{{i}}", priority=i % 3) for i in range({RUNS})]
        await asyncio.gather(*starts)
        await app.start(job, 777, delay=0.05, debounce="k")
        await app.idle()

asyncio.run(main())
"""


def states(database: Path) -> dict[str, int]:
    with sqlite3.connect(database) as connection:
        return dict(connection.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())


def test_a_queue_survives_being_killed_at_any_moment(tmp_path, database):
    program = written(tmp_path, JOB)
    dice = random.Random(20261120)
    pending = []
    for _ in range(KILLS):
        with running(program, database) as process:
            some(process.stdout).read(dice.randrange(1, 60))
            process.kill()
        found = states(database)
        assert found.get("running", 0) + found.get("waiting", 0) <= AT_ONCE
        pending.append(found.get("pending", 0))
    assert max(pending) > AT_ONCE, "the kills came when nothing was left to do"
    last = run(program, database)
    assert last.returncode == 0, last.stderr
    assert last.stderr == ""
    ended = states(database)
    # A step that may be done once only, and was under way, is left for a person to settle.
    assert set(ended) <= {"completed", "blocked"}
    assert ended.get("blocked", 0) <= KILLS * AT_ONCE
    noted = [line for line in world(database) if line != "run 777"]
    assert len(noted) == len(set(noted)) <= RUNS
    assert len(noted) >= RUNS - ended.get("blocked", 0)
