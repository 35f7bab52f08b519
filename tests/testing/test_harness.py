"""A user's test: what the harness does for it."""

from __future__ import annotations

import time
import unittest
from datetime import UTC, datetime
from unittest.mock import AsyncMock

import pytest

from podium import (
    Answer,
    RunFailed,
    Schedule,
    ask_human,
    gather,
    now,
    prompt,
    sleep,
    step,
    wait_for_event,
    workflow,
)
from podium.testing import FailureKind, Harness, ModelFailure, ProcessLost, Script, Stuck

NOON = datetime(2027, 6, 1, 12, tzinfo=UTC)
write = prompt("write", "Answer this: {text}", output=str, models=["scripted:desk"])
vendor = prompt("vendor", "Say: {text}", output=str, models=["anthropic:claude-haiku-4-5"])


@step(retries=3, backoff=3600, max_backoff=3600)
async def retrieve(query: str) -> list[str]:
    raise AssertionError("no test reaches the real shelf")


@step
def send(text: str) -> str:
    return f"sent {text}"


@workflow
async def support(text: str) -> str:
    articles, answer = await gather(retrieve(text), write(text=text))
    decision = await ask_human("Send?", proposal=f"{answer.value} {articles[0]}", sla="2h")
    if decision.value is None:
        return "kept"
    await sleep(2 * 3600)
    return await send(decision.value)


async def test_a_whole_test_as_a_user_writes_it():
    async def shelf(query: str) -> list[str]:
        return [f"about {query}"]

    async with Harness(workflows=[support], models={"desk": ["Dear all"]}, steps={retrieve: shelf}) as app:
        run = await app.start(support, "rain")
        review = await app.review(subject="Send?")
        await app.decide(review, approve=True)
        assert await run.result() == "sent Dear all about rain"
        assert sorted((await app.steps(run))[:2]) == ["retrieve", "write"]
        assert (await app.steps(run))[2:] == ["send"]
        assert [call.arguments for call in app.calls(retrieve)] == [{"query": "rain"}]
        assert "0:send#1" in await app.keys(run)


async def test_a_decision_may_be_a_refusal_or_another_value():
    async with Harness(
        workflows=[support], models={"desk": ["a", "b"]}, steps={retrieve: AsyncMock(return_value=["x"])}
    ) as app:
        first = await app.start(support, "one")
        await app.decide(await app.review(run=first), approve=False)
        assert await first.result() == "kept"
        second = await app.start(support, "two")
        await app.decide(await app.review(run=second), value="mine")
        assert await second.result() == "sent mine"


@workflow
async def diary() -> list[float]:
    began = now()
    seen = []
    for hours in (1, 24):
        await sleep(hours * 3600)
        seen.append((now() - began).total_seconds() / 3600)
    return seen


async def test_time_skips_to_the_next_timer_while_a_result_is_waited_for():
    async with Harness(workflows=[diary]) as app:
        began, clock = time.monotonic(), app.now
        assert await app.run(diary) == [1.0, 25.0]
        assert (app.now - clock).total_seconds() == 25 * 3600
        assert time.monotonic() - began < 5


async def test_time_skipped_by_hand_fires_timers_in_order_and_no_further():
    async with Harness(workflows=[diary], skip_time=False) as app:
        run = await app.start(diary)
        await app.skip("2h")
        assert len(await app.journal(run)) == 1
        await app.skip("22h")
        assert len(await app.journal(run)) == 1
        await app.skip()
        assert await run.result() == [1.0, 25.0]


async def test_retries_wait_on_the_clock_of_the_harness():
    flaky = AsyncMock(side_effect=[OSError("away"), OSError("away"), ["there"]])
    async with Harness(
        workflows=[support], models={"desk": ["Hello"]}, steps={retrieve: flaky}, start=NOON
    ) as app:
        run = await app.start(support, "x")
        await app.decide(await app.review(), approve=False)
        assert await run.result() == "kept"
        assert [call.attempt for call in app.calls("retrieve")] == [1, 2, 3]
        assert app.now > NOON


@workflow
async def patient(name: str) -> str:
    answer: str = await wait_for_event(name, str, timeout=3600)
    return answer


async def test_events_are_sent_and_their_absence_is_skipped_to():
    async with Harness(workflows=[patient]) as app:
        run = await app.start(patient, "go")
        await run.send_event("go", "now")
        assert await run.result() == "now"
        late = await app.start(patient, "go")
        with pytest.raises(RunFailed, match="TimeoutError"):
            await late.result()


@workflow
async def asked(text: str) -> Answer[str]:
    return await vendor(text=text)


async def test_a_script_stands_in_for_a_real_model_and_its_failures_take_no_time():
    busy = ModelFailure(FailureKind.RATE_LIMIT, "slow down", retry_after=5.0)
    script = Script([busy, "Good day"])
    async with Harness(workflows=[asked], models={"anthropic:claude-haiku-4-5": script}) as app:
        began = time.monotonic()
        answer = await app.run(asked, "hello")
        assert answer.value == "Good day"
        assert time.monotonic() - began < 4
        assert len(script.requests) == 2


async def test_a_model_without_a_script_is_never_called():
    async with Harness(workflows=[asked]) as app:
        with pytest.raises(RunFailed, match="ANTHROPIC_API_KEY"):
            await app.run(asked, "hello")


async def test_what_never_comes_fails_and_says_what_the_run_waits_for():
    @workflow
    async def forever() -> str:
        return await wait_for_event("godot", str)

    async with Harness(workflows=[forever], patience=0.1) as app:
        run = await app.start(forever)
        with pytest.raises(Stuck, match=r"the end of run .* never comes: .*waits for event godot"):
            await run.result()
        with pytest.raises(Stuck, match="a review about 'Send"):
            await app.review(subject="Send?")


async def test_a_step_is_replaced_while_the_test_goes_on():
    @workflow
    async def twice() -> list[str]:
        first = await send("a")
        await wait_for_event("go", str)
        return [first, await send("b")]

    async with Harness(workflows=[twice]) as app:
        run = await app.start(twice)
        await app.skip()
        app.replace(send, lambda text: f"faked {text}")
        await run.send_event("go", "")
        assert await run.result() == ["sent a", "faked b"]


async def test_schedules_fire_as_time_is_skipped():
    @workflow
    async def hourly() -> str:
        return f"{now():%H:%M}"

    schedule = Schedule("hourly", hourly, cron="30 * * * *")
    async with Harness(triggers=[schedule], start=NOON) as app:
        await app.skip("3h")
        runs = await app.list()
        results = [await (await app.get(run.id)).result() for run in runs]
        assert sorted(results) == ["12:30", "13:30", "14:30"]


async def test_from_the_crash_on_nothing_is_answered_or_written():
    async with Harness(workflows=[diary], crash_at=3) as app:
        with pytest.raises(ProcessLost, match="write 3"):
            await app.run(diary)
        assert app.is_lost
        with pytest.raises(ProcessLost):
            await app.start(diary)


class InUnittest(unittest.IsolatedAsyncioTestCase):
    async def test_the_harness_needs_no_pytest(self):
        async with Harness(workflows=[diary]) as app:
            assert await app.run(diary) == [1.0, 25.0]
