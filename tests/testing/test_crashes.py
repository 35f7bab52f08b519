"""A scenario loses its process at every write, and comes to the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from podium import ask_human, prompt, sleep, step, wait_for_event, workflow
from podium.domain.ids import RunId
from podium.domain.journal import Entry
from podium.testing import ExecutedAgain, Harness, OtherResult, crashes

write = prompt("write", "Answer: {text}", output=str, models=["scripted:desk"])


@step
async def charge(amount: int) -> str:
    return f"charged {amount}"


@workflow
async def order(amount: int) -> list[str]:
    first = await write(text="hello")
    receipt = await charge(amount)
    second = await write(text=receipt)
    decision = await ask_human("Ship?", proposal=second.value)
    await sleep(3600)
    word: str = await wait_for_event("paid", str)
    return [first.value, receipt, str(decision.value), word]


async def test_every_crash_comes_to_the_same():
    async def scenario(app: Harness) -> list[str]:
        run = await app.start(order, 5, run_id="o-1")
        await app.decide(await app.review(subject="Ship?"), approve=True)
        await run.send_event("paid", "yes", dedupe="p-1")
        return await run.result()

    survived = [crash async for crash in crashes(scenario, workflows=[order], models={"desk": ["Hi", "Bye"]})]
    assert {tuple(crash.result) for crash in survived} == {("Hi", "charged 5", "Bye", "yes")}
    writes = [crash.write for crash in survived]
    assert writes == sorted(writes)
    assert set(writes) == set(range(1, max(writes) + 1))
    assert max(writes) > 10
    assert {crash.kept for crash in survived} == {True, False}


async def test_a_result_that_depends_on_the_crash_is_told():
    lives = []

    async def scenario(app: Harness) -> int:
        lives.append(app)
        await app.run(order_once, run_id="o-1")
        return len(lives) if len(lives) > 2 else 1

    @workflow
    async def order_once() -> str:
        return await charge(1)

    with pytest.raises(
        OtherResult, match=r"after a crash at write 1 \(lost\) the scenario returned 3, without one 1"
    ):
        async for _ in crashes(scenario, workflows=[order_once]):
            pass


async def test_what_a_test_asserts_still_fails_it():
    async def scenario(app: Harness) -> None:
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        async for _ in crashes(scenario, workflows=[order]):
            pass


async def test_a_step_whose_acknowledged_outcome_the_database_lost_is_told(tmp_path):
    @workflow
    async def simple() -> str:
        receipt = await charge(1)
        await wait_for_event("go", str)
        return receipt

    database = tmp_path / "podium.db"
    first = Harness(database, workflows=[simple])
    async with first as app:
        run = await app.start(simple, run_id="r")
        await app.skip("1s")
        assert await app.steps(run) == ["charge"]
    with closing(sqlite3.connect(database)) as conn, conn:
        assert conn.execute("DELETE FROM journal").rowcount == 1
    with pytest.raises(ExecutedAgain, match="charge"):
        async with Harness(database, workflows=[simple], after=first) as app:
            await (await app.get("r")).send_event("go", "")
            await (await app.get("r")).result()


async def test_a_completed_step_that_is_executed_again_is_told():
    @workflow
    async def simple() -> str:
        return await charge(1)

    async with Harness(workflows=[simple]) as app:
        run = await app.start(simple, run_id="r")
        await run.result()
        (done,) = await app.journal(run)
        other = await app.start(simple, run_id="s")
        # As a journal would look whose outcome the engine forgot.
        app._calls.note([_of(done, "t")])
        await other.result()
        forgotten = await app.start(simple, run_id="t")
        with pytest.raises(ExecutedAgain, match=r"'charge' \(0:charge#1\) of run 't'"):
            await forgotten.result()
        app._calls.again = None


def _of(entry: Entry, run: str) -> Entry:
    return replace(entry, run=RunId(run))
