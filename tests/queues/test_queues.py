"""Queues on the real engine: who begins when, and who must wait."""

from __future__ import annotations

import asyncio
import time

import pytest

from podium import Queue, QueueFull, RunCancelled, RunState, gather, sleep, step, workflow
from podium.domain.ids import RunId
from podium.domain.runs import Placement, Run
from tests.queues.support import Desk, states
from tests.support.apps import app_on, until

PENDING, RUNNING, COMPLETED = RunState.PENDING, RunState.RUNNING, RunState.COMPLETED


async def test_no_more_runs_than_allowed_are_at_work_and_the_next_begins_when_one_ends(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=2)]) as app:
        runs = [await app.start(desk.work, name, run_id=name) for name in "abcd"]
        await desk.until_began("a", "b")
        assert await states(app, *"abcd") == [RUNNING, RUNNING, PENDING, PENDING]
        desk.end("b")
        await desk.until_began("c")
        assert await states(app, *"abcd") == [RUNNING, COMPLETED, RUNNING, PENDING]
        # Which of two that began together comes to its first step earlier is nobody's promise.
        assert sorted(desk.began) == list("abc")
        desk.end(*"acd")
        assert [await run.result() for run in runs] == list("abcd")
        assert sorted(desk.began) == list("abcd")


async def test_higher_priorities_go_first_and_the_older_before_the_younger(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=1)]) as app:
        await app.start(desk.work, "first")
        await desk.until_began("first")
        for name, priority in (("low", -1), ("old", 0), ("high", 7), ("young", None)):
            await app.start(desk.work, name, priority=priority)
        desk.end("first", "low", "old", "high", "young")
        await app.idle()
        assert desk.began == ["first", "high", "old", "young", "low"]


async def test_a_tenant_with_many_runs_does_not_starve_one_with_few(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=1)]) as app:
        for number, tenant in enumerate(["big"] * 50 + ["small", "tiny"]):
            name = f"{tenant}{number}"
            desk.end(name)
            run = Run(
                RunId(name), "work", desk.work.encode_input((name,), {}), number, time.time(), tenant=tenant,
                placement=Placement("q"),
            )  # fmt: skip
            await app._engine.submit(run)
        await app.idle()
        order = [name.rstrip("0123456789") for name in desk.began]
        assert len(order) == 52
        assert {"small", "tiny"} <= set(order[order.index("small") - 2 : order.index("small") + 3])


async def test_a_run_that_waits_gives_its_place_away_and_goes_on_without_asking_for_it_again(database):
    desk = Desk()

    @workflow(queue="q")
    async def sleeper() -> None:
        await sleep(0.3)

    async with app_on(database, desk.work, sleeper, linger=0, queues=[Queue("q", concurrency=1)]) as app:
        slept = await app.start(sleeper)
        await app.story.state(slept.id, RunState.WAITING)
        await app.start(desk.work, "a")
        await desk.until_began("a")
        # It ends although the only place is taken.
        await slept.result(timeout=20)
        desk.end("a")
        await app.idle()


async def test_a_queue_may_count_runs_that_wait(database):
    desk = Desk()

    @workflow(queue="q")
    async def sleeper() -> None:
        await sleep(0.3)
        desk.began.append("slept")

    limits = Queue("q", concurrency=1, counts_waiting=True)
    async with app_on(database, desk.work, sleeper, linger=0, queues=[limits]) as app:
        await app.start(sleeper)
        desk.end("a")
        await app.start(desk.work, "a")
        await app.idle()
        assert desk.began == ["slept", "a"]


async def test_never_more_starts_than_the_rate_allows_and_the_next_is_woken_in_time(database):
    desk = Desk()
    desk.end(*map(str, range(9)))
    async with app_on(database, desk.work, queues=[Queue("q", rate="3/0.4s")]) as app:
        runs = [await app.start(desk.work, str(i)) for i in range(9)]
        async with asyncio.timeout(20):
            await app.idle()
        began = sorted([(await app.runs.get(run.id)).started_at or 0.0 for run in runs])
    assert all(later - earlier >= 0.4 for earlier, later in zip(began, began[3:], strict=False))


async def test_a_rate_is_kept_across_a_restart(database):
    desk = Desk()
    desk.end("a", "b")
    limits = [Queue("q", rate="1/h")]
    async with app_on(database, desk.work, queues=limits) as app:
        await (await app.start(desk.work, "a")).result()
    async with app_on(database, desk.work, queues=limits) as app:
        await app.start(desk.work, "b", run_id="b")
        await until(lambda: not app._engine._queues._looking)
        assert await states(app, "b") == [PENDING]
    async with app_on(database, desk.work, queues=[Queue("q", rate="2/h")]) as app:
        await app.idle()
        assert await states(app, "b") == [COMPLETED]


async def test_a_run_does_not_begin_before_its_time_and_does_at_it(database):
    desk = Desk()
    desk.end("much later", "later", "now")
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=1)]) as app:
        await app.start(desk.work, "much later", run_id="much later", delay="1h", priority=9)
        asked = time.time()
        later = await app.start(desk.work, "later", delay=0.3, priority=9)
        now = await app.start(desk.work, "now")
        assert [await run.result(timeout=20) for run in (later, now)] == ["later", "now"]
        assert ((await app.runs.get(later.id)).started_at or 0.0) - asked >= 0.3
        assert await states(app, "much later") == [PENDING]


async def test_a_burst_of_starts_with_one_debounce_key_is_one_run_with_the_last_input(database):
    desk = Desk()
    desk.end("v9", "other")
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=1)]) as app:
        # However slowly the burst comes, none of it begins before all of it is there.
        await app.start(desk.work, "first")
        await desk.until_began("first")
        bursts = [
            await app.start(desk.work, f"v{version}", delay=0.2, debounce="customer-42")
            for version in range(10)
        ]
        other = await app.start(desk.work, "other", delay=0.2, debounce="customer-43")
        assert len({run.id for run in bursts}) == 1
        assert other.id != bursts[0].id
        desk.end("first")
        assert await bursts[0].result(timeout=20) == "v9"
        await app.idle()
        assert sorted(desk.began) == ["first", "other", "v9"]


async def test_a_start_after_the_debounced_run_has_begun_is_a_run_of_its_own(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q")]) as app:
        first = await app.start(desk.work, "a", debounce="k")
        await desk.until_began("a")
        second = await app.start(desk.work, "b", debounce="k")
        assert second.id != first.id
        desk.end("a", "b")
        assert [await first.result(), await second.result()] == ["a", "b"]


async def test_whoever_is_told_that_a_run_takes_the_input_is_told_the_truth_however_they_race(database):
    @step
    async def note(value: int) -> int:
        return value

    @workflow(queue="q")
    async def keep(value: int) -> int:
        return await note(value)

    async with app_on(database, keep, queues=[Queue("q")]) as app:
        runs = await asyncio.gather(*[app.start(keep, value, debounce="k") for value in range(200)])
        await app.idle()
        last_told = {run.id: value for value, run in enumerate(runs)}
        kept = {run.id: await run.result() for run in runs}
        assert kept == last_told


async def test_a_full_queue_refuses_with_a_clear_error_and_stores_nothing_however_many_come_at_once(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q", rate="1/h", max_depth=5)]) as app:
        await app.start(desk.work, "first")
        await desk.until_began("first")
        starts = await asyncio.gather(
            *[app.start(desk.work, str(i), run_id=f"r{i}") for i in range(40)], return_exceptions=True
        )
        refused = [start for start in starts if isinstance(start, QueueFull)]
        assert len(refused) == 35
        assert len(await app.list(limit=100)) == 6
        assert "'q' is full: 5 runs are pending" in str(refused[0])
        assert 3500 < (refused[0].retry_after or 0) <= 3600
        (accepted, *_) = [start for start in starts if not isinstance(start, BaseException)]
        # The same id again is the same run, full or not.
        assert (await app.start(desk.work, "x", run_id=accepted.id)).id == accepted.id


async def test_a_pending_run_is_cancelled_without_having_begun(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=1)]) as app:
        await app.start(desk.work, "a")
        await desk.until_began("a")
        waiting = await app.start(desk.work, "b")
        await waiting.cancel()
        with pytest.raises(RunCancelled):
            await waiting.result(timeout=20)
        desk.end("a")
        await app.idle()
        assert desk.began == ["a"]


async def test_runs_cancelled_while_they_are_admitted_end_once(database):
    desk = Desk()
    names = [str(i) for i in range(60)]
    desk.end(*names)
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=3)]) as app:
        runs = [await app.start(desk.work, name, run_id=name) for name in names]
        await asyncio.gather(*[run.cancel() for run in runs], return_exceptions=True)
        async with asyncio.timeout(20):
            await app.idle()
        assert set(await states(app, *names)) <= {COMPLETED, RunState.CANCELLED}


async def test_children_wait_in_the_queue_of_their_workflow(database):
    at_work, most = 0, 0
    three = asyncio.Barrier(3)

    @step
    async def busy(i: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        # Three are at work together, or none goes on; a fourth would have time to show itself.
        await three.wait()
        await asyncio.sleep(0.005)
        at_work -= 1
        return i

    @workflow(queue="q")
    async def part(i: int) -> int:
        return await busy(i)

    @workflow
    async def whole(n: int) -> int:
        return sum(await gather(*[part(i) for i in range(n)]))

    async with app_on(database, part, whole, queues=[Queue("q", concurrency=3)]) as app:
        assert await app.run(whole, 21) == 210
        assert most == 3


async def test_queues_do_not_hold_each_other_up(database):
    desk = Desk()
    limits = [Queue("q", concurrency=1), Queue("p", concurrency=1)]
    async with app_on(database, desk.work, queues=limits) as app:
        await app.start(desk.work, "a")
        await app.start(desk.work, "b")
        await app.start(desk.work, "c", queue="p")
        await desk.until_began("a", "c")
        assert "b" not in desk.began
        desk.end(*"abc")
        await app.idle()


async def test_more_runs_than_fit_into_memory_are_worked_off(database):
    desk = Desk()
    names = [str(i) for i in range(100)]
    desk.end(*names)
    async with app_on(database, desk.work, max_active_runs=4, queues=[Queue("q"), Queue("p")]) as app:
        for number, name in enumerate(names):
            await app.start(desk.work, name, queue="qp"[number % 2], run_id=name)
        await app.idle()
        assert set(await states(app, *names)) == {COMPLETED}


async def test_limits_may_be_others_after_a_restart(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=3)]) as app:
        for name in "abcdef":
            await app.start(desk.work, name)
        await desk.until_began(*"abc")
    desk.began.clear()
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=1)]) as app:
        # What had begun goes on, and nothing new begins before all but one of it has ended.
        await desk.until_began(*"abc")
        desk.end("a", "b")
        await until(lambda: len(app.in_memory) == 1)
        assert sorted(desk.began) == ["a", "b", "c"]
        desk.end(*"cdef")
        await app.idle()
        assert desk.began[3:] == ["d", "e", "f"]


async def test_runs_of_workflows_that_are_not_known_here_stay_and_hold_nobody_up(database):
    desk, other = Desk(), Desk()

    @workflow(queue="q")
    async def elsewhere() -> None: ...

    async with app_on(database, desk.work, elsewhere, queues=[Queue("q", rate="1/h")]) as app:
        desk.end("first", "b")
        await (await app.start(desk.work, "first")).result()
        await app.start(elsewhere, run_id="foreign", priority=5)
    other.end("b")
    async with app_on(database, other.work, queues=[Queue("q")]) as app:
        await (await app.start(other.work, "b")).result(timeout=20)
        await app.idle()
        assert await states(app, "foreign") == [PENDING]


async def test_a_run_paused_before_its_beginning_waits_in_its_queue_again_when_resumed(database):
    desk = Desk()
    async with app_on(database, desk.work, queues=[Queue("q", concurrency=1)]) as app:
        await app.start(desk.work, "a")
        await desk.until_began("a")
        run = await app.start(desk.work, "b")
        await run.pause()
        await app.story.state(run.id, RunState.PAUSED)
        await run.resume()
        await app.story.state(run.id, PENDING)
        assert desk.began == ["a"]
        desk.end("a", "b")
        assert await run.result(timeout=20) == "b"
