"""Many runs: how many are in memory at once, in which order they begin, and that all of them end."""

from __future__ import annotations

import asyncio

from podium import DecisionVerdict, RunState, StorageSettings, ask_human, gather, sleep, step, workflow
from tests.support.apps import all_are, app_on, until


async def test_no_more_runs_are_in_memory_than_allowed_and_the_others_follow_in_order(database):
    began, most, gate = [], [], asyncio.Event()

    @step
    async def work(i: int) -> None:
        began.append(i)
        most.append(len(app.in_memory))
        await gate.wait()

    @workflow
    async def one(i: int) -> int:
        await work(i)
        return i

    app = app_on(database, one, max_active_runs=3)
    async with app:
        handles = [await app.start(one, i) for i in range(12)]
        await until(lambda: len(began) == 3)
        assert app.in_memory == {handle.id for handle in handles[:3]}
        assert [await handle.status() for handle in handles[3:]] == [RunState.PENDING] * 9
        gate.set()
        assert [await handle.result() for handle in handles] == list(range(12))
    assert began == list(range(12))
    assert max(most) == 3


async def test_unfinished_runs_are_taken_up_in_the_order_in_which_they_were_started(database):
    began, gate = [], asyncio.Event()

    @step
    async def work(i: int) -> None:
        began.append(i)
        await gate.wait()

    @workflow
    async def one(i: int) -> None:
        await work(i)

    async with app_on(database, one, max_active_runs=2) as app:
        for i in range(8):
            await app.start(one, i, run_id=f"r{i}")
        await app.story.state("r1", RunState.RUNNING)
    began.clear()
    gate.set()
    async with app_on(database, one, max_active_runs=1) as app:
        assert app.taken_up == 8
        await app.idle()
    assert began == list(range(8))


async def test_decisions_for_many_runs_bring_few_more_of_them_into_memory_than_allowed(database):
    most = []

    @step
    async def work() -> None:
        most.append(len(app.in_memory))
        await asyncio.sleep(0.002)

    @workflow
    async def asks() -> None:
        await ask_human("Go on?", proposal="yes")
        await work()

    app = app_on(database, asks, max_active_runs=5)
    async with app:
        await asyncio.gather(*[app.start(asks) for _ in range(60)])
        await app.idle()
        reviews = await app.reviews.list(limit=100)
        await asyncio.gather(
            *[app.reviews.decide(r.id, DecisionVerdict.APPROVE, reviewer="ada") for r in reviews]
        )
        app.look()
        await until(lambda: all_are(app, RunState.COMPLETED, 60))
    assert len(most) == 60
    assert max(most) <= 5 + 4


async def test_two_thousand_runs_of_three_steps_complete(database):
    @step
    async def add(i: int, j: int) -> int:
        return i + j

    @workflow
    async def three(i: int) -> int:
        a, b = await gather(add(i, 1), add(i, 2))
        return await add(a, b)

    async with app_on(database, three, max_active_runs=500) as app:
        handles = await asyncio.gather(*[app.start(three, i) for i in range(2000)])
        results = await asyncio.gather(*[handle.result() for handle in handles])
        assert results == [2 * i + 3 for i in range(2000)]
        assert not app.in_memory


async def test_two_thousand_parked_runs_take_no_memory_and_all_go_on_when_decided(database):
    @workflow
    async def asks(i: int) -> str:
        await sleep(0)
        return f"{i} {(await ask_human('Go on?', proposal=str(i))).value}"

    # Durability of 2,000 decisions is another test's business; here it would only be time.
    async with app_on(database, asks, storage=StorageSettings(synchronous="NORMAL")) as app:
        handles = await asyncio.gather(*[app.start(asks, i) for i in range(2000)])
        await app.idle()
        assert not app.in_memory
        reviews = await app.reviews.list(limit=3000)
        assert len(reviews) == 2000
        await asyncio.gather(
            *[app.reviews.decide(r.id, DecisionVerdict.APPROVE, reviewer="ada") for r in reviews]
        )
        app.look()
        results = await asyncio.gather(*[handle.result() for handle in handles])
        assert results == [f"{i} {i}" for i in range(2000)]
        assert not app.in_memory
        assert await app.inbox_is_empty()


async def test_what_was_decided_does_not_wait_behind_a_backlog(database):
    gate = asyncio.Event()

    @step
    async def work() -> None:
        await gate.wait()

    @workflow
    async def slow() -> None:
        await work()

    @workflow
    async def asking() -> str:
        return (await ask_human("go on?")).value or ""

    async with app_on(database, slow, asking, max_active_runs=2) as app:
        asked = await app.start(asking)
        await app.story.state(asked.id, RunState.WAITING)
        backlog = [await app.start(slow) for _ in range(20)]
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ana", value=b'"yes"')
        app.look()
        assert await asked.result(timeout=20) == "yes"
        assert await backlog[-1].status() is RunState.PENDING
        gate.set()
        await app.idle()
