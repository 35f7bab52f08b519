"""Steps: what is executed, how often, and what the workflow gets."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from podium import (
    NotSerialisable,
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
from tests.support.apps import app_on, outcomes


async def test_an_async_and_a_plain_step_give_their_results(database):
    seen = {}

    @step
    async def on_the_loop(word: str) -> str:
        seen["async"] = threading.current_thread()
        return word.upper()

    @step()
    def in_a_thread(word: str, times: int = 2) -> list[str]:
        seen["plain"] = threading.current_thread()
        return [word] * times

    @workflow
    async def both(word: str) -> list[str]:
        return await in_a_thread(await on_the_loop(word), times=3)

    async with app_on(database, both) as app:
        assert await app.run(both, "a", run_id="r") == ["A", "A", "A"]
        assert outcomes(await app.journal("r")) == ["0:on_the_loop#1=done", "0:in_a_thread#1=done"]
    assert seen["async"] is threading.main_thread()
    assert seen["plain"] is not threading.main_thread()


async def test_a_completed_step_is_not_executed_again_when_the_run_goes_on_in_another_process(database):
    executed, gate = [], asyncio.Event()

    @step
    async def first() -> str:
        executed.append("first")
        return "kept"

    @step
    async def second(given: str) -> str:
        executed.append(f"second {given}")
        await gate.wait()
        return given

    @workflow
    async def two() -> str:
        return await second(await first())

    async with app_on(database, two) as app:
        await app.start(two, run_id="r")
        while len(executed) < 2:
            await asyncio.sleep(0)
    gate.set()
    async with app_on(database, two) as app:
        assert app.taken_up == 1
        assert await (await app.get("r")).result() == "kept"
    assert executed == ["first", "second kept", "second kept"]


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
    assert [attempt.number for attempt in operation.attempts] == [1, 2, 3]
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
        [attempt.resume_at - attempt.at for attempt in timeline.operations[0].attempts]
        for timeline in timelines
    ]
    ceilings = [0.02, 0.04, 0.05, 0.05]
    for wait in waits:
        assert all(-0.01 <= w <= c for w, c in zip(wait, ceilings, strict=True)), wait
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
    assert operation.ended_at - failed.at >= 0.05


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
        while len(attempts) < 2:
            await asyncio.sleep(0.001)
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
            raise Retryable("later", retry_after=0.3)
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
    assert attempts[1] - attempts[0] >= 0.3


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
    assert first.error.type == StepTimeout.__name__
    assert "longer than its timeout of 0.03 s" in first.error.message


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
    @step(timeout=0.2)
    def naps(i: int) -> int:
        time.sleep(0.06)
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


@pytest.mark.parametrize("in_thread", [True, False], ids=["plain", "async"])
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (StopIteration("enough"), "StopIteration"),
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError("on its own"), "CancelledError"),
        (LookupError("no caf\udce9.txt"), "no caf?.txt"),
        (ExceptionGroup("two", [ValueError("one"), TypeError("other")]), "one (and 1 more)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_whatever_a_step_raises_is_an_outcome(database, raised, told, in_thread):
    def plain() -> None:
        raise raised

    async def coroutine() -> None:
        raise raised

    raising = step(name="raising")(plain if in_thread else coroutine)

    @workflow
    async def caller() -> str:
        try:
            await raising()
        except StepFailed as failure:
            return str(failure)
        return "unreachable"

    async with app_on(database, caller) as app:
        async with asyncio.timeout(5):
            assert told in await app.run(caller)


async def test_an_error_that_cannot_even_say_what_it_is_is_an_outcome(database):
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    @step
    async def raising() -> None:
        raise Mute

    @workflow
    async def caller() -> str:
        try:
            await raising()
        except StepFailed as failure:
            return failure.error.message
        return "unreachable"

    async with app_on(database, caller) as app:
        async with asyncio.timeout(5):
            assert await app.run(caller) == "Mute"


async def test_a_result_that_cannot_be_stored_fails_the_step_with_the_path_of_the_field(database):
    @step
    async def careless() -> dict:
        return {"good": 1, "bad": {"callback": lambda: None}}

    @workflow
    async def caller() -> str:
        try:
            await careless()
        except StepFailed as failure:
            assert failure.error.type == NotSerialisable.__name__
            return failure.error.message
        return "unreachable"

    async with app_on(database, caller) as app:
        message = await app.run(caller)
    assert message.startswith(
        "the result of step 'careless' cannot be stored: value.bad.callback is a function"
    )


async def test_a_result_type_that_can_never_be_stored_is_refused_before_the_step_is_executed(database):
    executed = []

    @step
    async def locks() -> threading.Lock:
        executed.append(1)
        return threading.Lock()

    @workflow
    async def caller() -> None:
        await locks()

    async with app_on(database, caller) as app:
        with pytest.raises(RunFailed, match="the result of step 'locks' is declared as .*lock"):
            await app.run(caller)
    assert not executed


async def test_an_argument_that_has_no_stable_form_is_refused_with_its_path(database):
    @step
    async def takes(thing: dict) -> None: ...

    @workflow
    async def caller() -> None:
        await takes({"inner": [1, object()]})

    async with app_on(database, caller) as app:
        with pytest.raises(RunFailed, match=r"an argument of step 'takes' .* thing\.inner\[1\] is a object"):
            await app.run(caller)
