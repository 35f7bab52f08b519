"""Attempts: how often a step is tried, when again, and for how long."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from podium import (
    Retryable,
    RunFailed,
    RunState,
    StepFailed,
    StepTimeout,
    Terminal,
    current_step,
    step,
    workflow,
)
from podium.domain.journal import EntryType
from tests.support.apps import app_on, some, until


async def test_every_attempt_has_the_same_idempotency_key_and_its_own_number(database):
    attempts = []

    @step(retries=2, backoff=0)
    async def flaky() -> str:
        attempts.append(current_step())
        if len(attempts) < 3:
            raise ConnectionError("not yet")
        return "there"

    @workflow
    async def patient() -> str:
        return await flaky()

    async with app_on(database, patient) as app:
        assert await app.run(patient, run_id="r") == "there"
        entries = await app.journal("r")
    assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
    assert len({attempt.idempotency_key for attempt in attempts}) == 1
    assert {(attempt.run, attempt.key) for attempt in attempts} == {("r", "0:flaky#1")}
    assert [(e.type, e.attempt) for e in entries] == [
        (EntryType.ATTEMPT, 1),
        (EntryType.ATTEMPT, 2),
        (EntryType.DONE, 3),
    ]


async def test_a_step_that_never_succeeds_fails_with_its_last_error_after_all_its_attempts(database):
    @step(retries=3, backoff=0)
    async def broken() -> None:
        raise ValueError("no luck")

    @workflow
    async def doomed() -> str:
        try:
            await broken()
        except StepFailed as failure:
            return f"{failure.error.type} | {failure}"
        return "unreachable"

    async with app_on(database, doomed) as app:
        message = await app.run(doomed, run_id="r")
        (operation,) = (await app.timeline("r")).operations
    assert message == "ValueError | step 'broken' failed after 4 attempts: ValueError: no luck"
    assert [attempt.number for attempt in operation.attempts] == [1, 2, 3, 4]
    assert operation.state == "error"


async def test_waits_between_attempts_grow_and_are_drawn_anew_up_to_the_ceiling(database):
    @step(retries=4, backoff=0.02, max_backoff=0.05)
    async def broken() -> None:
        raise OSError

    @workflow
    async def doomed() -> None:
        await broken()

    async with app_on(database, doomed) as app:
        handles = [await app.start(doomed, run_id=f"r{i}") for i in range(8)]
        for handle in handles:
            with pytest.raises(RunFailed):
                await handle.result()
        timelines = [await app.timeline(handle.id) for handle in handles]
    waits = [
        [some(attempt.resume_at) - attempt.at for attempt in timeline.operations[0].attempts[:-1]]
        for timeline in timelines
    ]
    ceilings = [0.02, 0.04, 0.05, 0.05]
    for wait in waits:
        assert all(-0.01 <= w <= c + 0.001 for w, c in zip(wait, ceilings, strict=True)), wait
    # Full jitter: not the ceiling, and not the same for everybody.
    assert len({round(w, 4) for wait in waits for w in wait}) > 8


async def test_a_retryable_error_may_ask_for_a_longer_wait(database):
    @step(retries=1, backoff=0)
    async def busy() -> int:
        if current_step().attempt == 1:
            raise Retryable("come back later", retry_after=0.05)
        return current_step().attempt

    @workflow
    async def polite() -> int:
        return await busy()

    async with app_on(database, polite) as app:
        assert await app.run(polite, run_id="r") == 2
        (operation,) = (await app.timeline("r")).operations
    (failed,) = operation.attempts
    assert some(operation.ended_at) - failed.at >= 0.05


async def test_the_count_of_attempts_goes_on_after_a_restart(database):
    attempts = []

    @step(retries=2, backoff=0)
    async def broken() -> None:
        attempts.append(current_step().attempt)
        if len(attempts) == 2:
            await asyncio.Event().wait()
        raise ValueError("no")

    @workflow
    async def doomed() -> None:
        await broken()

    async with app_on(database, doomed) as app:
        await app.start(doomed, run_id="r")
        await until(lambda: len(attempts) == 2)
    async with app_on(database, doomed) as app:
        with pytest.raises(RunFailed, match="after 3 attempts"):
            await (await app.get("r")).result()
    # The second was cut short and has no outcome: it is made again under its number.
    assert attempts == [1, 2, 2, 3]


async def test_a_long_wait_for_the_next_attempt_takes_the_run_out_of_memory_and_is_kept_to_after_a_restart(
    database,
):
    attempts = []

    @step(retries=1, backoff=0)
    async def busy() -> int:
        attempts.append(time.time())
        if len(attempts) == 1:
            raise Retryable("later", retry_after=0.6)
        return len(attempts)

    @workflow
    async def patient() -> int:
        return await busy()

    async with app_on(database, patient, linger=0.05) as app:
        await app.start(patient, run_id="r")
        moved = await app.story.state("r", RunState.WAITING)
        assert not app.in_memory
    async with app_on(database, patient, linger=0.05) as app:
        assert await (await app.get("r")).result() == 2
    assert moved.wake_at is not None
    assert attempts[1] >= moved.wake_at
    assert attempts[1] - attempts[0] >= 0.6


async def test_an_attempt_that_takes_too_long_is_cut_off_and_made_again(database):
    cut_off = []

    @step(retries=1, backoff=0, timeout=0.03)
    async def slow_at_first() -> int:
        attempt = current_step().attempt
        if attempt == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cut_off.append(attempt)
                raise
        return attempt

    @workflow
    async def patient() -> int:
        return await slow_at_first()

    async with app_on(database, patient) as app:
        assert await app.run(patient, run_id="r") == 2
        (operation,) = (await app.timeline("r")).operations
    assert cut_off == [1]
    (first,) = operation.attempts
    assert some(first.error).type == StepTimeout.__name__
    assert "longer than its timeout of 0.03 s" in some(first.error).message


async def test_a_plain_function_that_takes_too_long_is_given_up(database):
    release = threading.Event()

    @step(timeout=0.03)
    def hangs() -> None:
        release.wait()

    @workflow
    async def impatient() -> str:
        try:
            await hangs()
        except StepFailed as failure:
            return failure.error.type
        return "unreachable"

    async with app_on(database, impatient) as app:
        assert await app.run(impatient) == "StepTimeout"
    release.set()


async def test_the_timeout_does_not_count_the_wait_for_a_free_thread(database):
    @step(timeout=0.5)
    def naps(i: int) -> int:
        time.sleep(0.1)
        return i

    @workflow
    async def one(i: int) -> int:
        return await naps(i)

    async with app_on(database, one, step_threads=1) as app:
        handles = [await app.start(one, i) for i in range(6)]
        assert [await handle.result() for handle in handles] == list(range(6))


async def test_a_timeout_of_the_steps_own_making_is_an_ordinary_error(database):
    @step(timeout=10)
    async def gives_up() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    @workflow
    async def caller() -> str:
        try:
            await gives_up()
        except StepFailed as failure:
            return failure.error.type
        return "unreachable"

    async with app_on(database, caller) as app:
        assert await app.run(caller) == "TimeoutError"


async def test_a_terminal_error_is_not_tried_again(database):
    attempts = []

    class Refused(Terminal):
        pass

    @step(retries=5, backoff=0)
    async def refused() -> None:
        attempts.append(1)
        raise Refused("never")

    @workflow
    async def caller() -> str:
        try:
            await refused()
        except StepFailed as failure:
            return failure.error.type
        return "unreachable"

    async with app_on(database, caller) as app:
        assert await app.run(caller) == "Refused"
    assert len(attempts) == 1
