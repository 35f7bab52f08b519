"""kill -9 at any moment: nothing completed is executed again, nothing is lost, each run ends once."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.support.apps import some
from tests.support.processes import run, running, world, written

RUNS = 200
KILLS = 20
AVERAGE_LIFE = 100
"""Things that are on disk: moves of runs and entries of journals. All of it comes to some 5,500."""

JOB = f"""
def outside(kind):
    context = current_step()
    note(f"{{kind}} {{context.run}} {{context.key}} {{context.idempotency_key}}")

@step
async def fetch(i: int) -> int:
    outside("begin")
    await asyncio.sleep(0.002)
    outside("end")
    return i

@step(retries=3, backoff=0.001)
def compute(i: int) -> int:
    outside("begin")
    if current_step().attempt == 1 and i % 3 == 0:
        raise ConnectionError
    outside("end")
    return i * i

@step
async def finish(total: int) -> int:
    outside("begin")
    outside("end")
    return total

@workflow
async def child(i: int) -> int:
    return await compute(i)

@workflow
async def job(i: int) -> int:
    first = await fetch(i)
    await sleep(0.01)
    a, b, c = await gather(compute(first), fetch(first + 1), child(first))
    return await finish(a + b + c)

async def main():
    settings = dict(linger=0, max_active_runs=25)
    async with app_on(DATABASE, job, child, **settings) as app:
        app.subscribe(lambda happening: os.write(1, b"."))
        await asyncio.gather(*[app.start(job, i, run_id=f"run-{{i}}") for i in range({RUNS})])
        await app.idle()

asyncio.run(main())
"""


def expected(i: int) -> int:
    return i * i + (i + 1) + i * i


def test_whatever_the_moment_of_the_kill_completed_steps_are_not_repeated_and_none_is_lost(
    tmp_path, database
):
    program = written(tmp_path, JOB)
    dice = random.Random(20261120)
    unfinished = []
    for _ in range(KILLS):
        with running(program, database) as process:
            # One character for each thing that is on disk: so many, and then at whatever it is just doing.
            some(process.stdout).read(dice.randrange(2 * AVERAGE_LIFE))
            time.sleep(dice.uniform(0, 0.003))
            process.kill()
        unfinished.append(check_the_journal(database, ended=False))
    assert unfinished == sorted(unfinished, reverse=True)
    assert unfinished[-1] > 0, "the last kills came when nothing was left to do"
    assert unfinished[-1] < RUNS, "the kills came so early that nothing was ever done"
    last = run(program, database)
    assert last.returncode == 0, last.stderr
    assert last.stderr == ""
    check_the_journal(database, ended=True)
    again = run(program, database)
    assert again.returncode == 0
    check_the_journal(database, ended=True)
    check_the_world(database)


def check_the_journal(database: Path, *, ended: bool) -> int:
    """Check what must hold at any time, and at the end; return how many runs of the job have not ended."""
    with sqlite3.connect(database) as connection:
        outcomes = connection.execute(
            "SELECT r.id, j.key, count(*) FROM journal j JOIN runs r ON r.number = j.run_number"
            " WHERE j.type IN ('done', 'error') GROUP BY r.id, j.key"
        ).fetchall()
        gaps = connection.execute(
            "SELECT count(*) FROM (SELECT max(seq) AS last, count(*) AS entries FROM journal GROUP BY run_number)"
            " WHERE last != entries"
        ).fetchone()
        runs = dict(connection.execute("SELECT id, state FROM runs").fetchall())
        outputs = dict(connection.execute("SELECT id, output FROM runs WHERE workflow = 'job'").fetchall())
        inbox = connection.execute("SELECT count(*) FROM inbox").fetchone()
    connection.close()
    assert all(count == 1 for _, _, count in outcomes)
    assert gaps == (0,)
    if ended:
        assert Counter(runs.values()) == {"completed": 2 * RUNS}
        assert {name: int(output) for name, output in outputs.items()} == {
            f"run-{i}": expected(i) for i in range(RUNS)
        }
        assert inbox == (0,)
    return RUNS - sum(output is not None for output in outputs.values())


def check_the_world(database: Path) -> None:
    """What happened outside agrees with the journal: every step took place, under one key, and ended at last."""
    done, keys = defaultdict(list), defaultdict(set)
    for line in world(database):
        kind, run_id, key, idempotency_key = line.split()
        done[run_id, key].append(kind)
        keys[run_id, key].add(idempotency_key)
    with sqlite3.connect(database) as connection:
        recorded = set(
            connection.execute(
                "SELECT r.id, j.key FROM journal j JOIN runs r ON r.number = j.run_number"
                " WHERE j.type = 'done' AND j.kind = 'step'"
            )
        )
    connection.close()
    assert set(done) == recorded
    assert all(len(idempotency_keys) == 1 for idempotency_keys in keys.values())
    assert len(set.union(*keys.values())) == len(keys)
    # Without a kill every step takes place once; a kill can repeat only what was under way, at most 25 runs' worth.
    repeated = sum(kinds.count("end") - 1 for kinds in done.values())
    assert all(kinds[-1] == "end" for kinds in done.values())
    assert repeated <= KILLS * 25 * 3


NEVER_AGAIN = """
@step
async def one() -> str:
    note("one")
    return "one"

@step
async def two() -> str:
    note("two")
    if world_size() == {at}:
        die()
    return "two"

@step
async def three() -> str:
    note("three")
    return "three"

def world_size():
    return len(DATABASE.with_name("world.txt").read_text().splitlines())

@workflow
async def chain() -> list[str]:
    return [await one(), await two(), await three()]

async def main():
    async with app_on(DATABASE, chain) as app:
        print(await app.run(chain, run_id="r"))

asyncio.run(main())
"""


def test_a_kill_inside_a_step_repeats_that_step_alone(tmp_path, database):
    program = written(tmp_path, NEVER_AGAIN.format(at=2))
    assert run(program, database).returncode == -9
    survived = run(program, database)
    assert survived.stdout == "['one', 'two', 'three']\n"
    assert world(database) == ["one", "two", "two", "three"]


ACKNOWLEDGED = """
@workflow
async def nothing(i: int) -> int:
    await sleep(3600)
    return i

async def main():
    async with app_on(DATABASE, nothing) as app:
        async def start(i):
            handle = await app.start(nothing, i, run_id=f"r{i}")
            sys.stdout.write(handle.id + "\\n")
            sys.stdout.flush()
        await asyncio.gather(*[start(i) for i in range(5000)])

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 40, 400])
def test_a_start_that_was_acknowledged_survives_the_kill(tmp_path, database, after):
    with running(written(tmp_path, ACKNOWLEDGED), database) as process:
        acknowledged = [some(process.stdout).readline().strip() for _ in range(after)]
        process.kill()
        acknowledged += some(process.stdout).read().split()
    with sqlite3.connect(database) as connection:
        stored = {run_id for (run_id,) in connection.execute("SELECT id FROM runs")}
    connection.close()
    # The last line may have been cut short by the kill.
    assert set(acknowledged[:-1]) <= stored


GIVES_UP = """
from podium.ports.journal import CloseReviews, CreateRun, Deliver
from podium.storage.sqlite.database import SqliteStorage

@workflow
async def child() -> None:
    await sleep(3600)

@step
async def hurry() -> None: ...

@workflow
async def gives_up() -> str:
    asked = [asyncio.create_task(ask_human("Quick!")), asyncio.create_task(child())]
    await sleep(0.05)
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    await ask_human("Now what?")
    return "done"

async def main():
    async with app_on(DATABASE, gives_up, child) as app:
        await app.start(gives_up, run_id="r")
        await app.idle()
        await asyncio.sleep(0.05)
        await app.idle()

def dies_instead(self, changes, done=None):
    if any(isinstance(change, CloseReviews | Deliver) for change in changes):
        die()
    commit(self, changes, done)

commit = SqliteStorage.commit
if {dies}:
    SqliteStorage.commit = dies_instead
asyncio.run(main())
"""


def test_what_a_run_gave_up_is_given_up_although_the_process_died_just_then(tmp_path, database):
    assert run(written(tmp_path, GIVES_UP.format(dies=True)), database).returncode == -9
    # How far the child has come by then depends on the machine.
    assert standing(database) - {("child", state) for state in ("pending", "running", "waiting")} == {
        ("Quick!", "open")
    }
    went_on = run(written(tmp_path, GIVES_UP.format(dies=False)), database)
    assert went_on.returncode == 0, went_on.stderr
    assert standing(database) == {("Quick!", "cancelled"), ("Now what?", "open"), ("child", "cancelled")}


def standing(database: Path) -> set[tuple[str, str]]:
    """How the reviews and the child runs stand."""
    with sqlite3.connect(database) as connection:
        reviews = connection.execute("SELECT subject, state FROM reviews").fetchall()
        children = connection.execute(
            "SELECT workflow, state FROM runs WHERE parent_run IS NOT NULL"
        ).fetchall()
    connection.close()
    return {*reviews, *children}
