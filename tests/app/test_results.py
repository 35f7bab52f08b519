"""How runs end, as their handles tell it."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from podium import RunBlocked, RunCancelled, RunFailed, RunState, sleep, step, workflow
from tests.support.apps import app_on, some


class Receipt(pydantic.BaseModel):
    number: int
    lines: list[str] = []


async def test_a_result_has_the_type_that_was_declared(database):
    @workflow
    async def typed() -> Receipt:
        return Receipt(number=1, lines=["a"])

    async with app_on(database, typed) as app:
        assert await app.run(typed, run_id="r") == Receipt(number=1, lines=["a"])
    async with app_on(database, typed) as app:
        assert await (await app.get("r")).result() == Receipt(number=1, lines=["a"])


@pytest.mark.parametrize("size", [0, 20_000, 300_000])
async def test_long_values_are_kept_whole(database, size):
    @step
    async def echo(text: str) -> str:
        return text[::-1]

    @workflow
    async def long(text: str) -> str:
        return await echo(text)

    text = "äb" * (size // 2)
    async with app_on(database, long) as app:
        assert await app.run(long, text) == text[::-1]


async def test_a_failure_tells_what_happened_where_and_what_to_do_next(database):
    @workflow
    async def fails() -> None:
        raise ZeroDivisionError("by nothing")

    async with app_on(database, fails) as app:
        with pytest.raises(RunFailed) as caught:
            await app.run(fails, run_id="r")
    assert str(caught.value) == "run 'r' failed: ZeroDivisionError: by nothing See `podium runs show r`."
    assert caught.value.error.type == "ZeroDivisionError"
    assert some(caught.value.error.where).startswith("test_results.py:")


async def test_a_result_that_cannot_be_stored_fails_the_run_with_its_path(database):
    @workflow
    async def careless() -> list[Any]:
        return [1, {"lock": object()}]

    async with app_on(database, careless) as app:
        with pytest.raises(
            RunFailed,
            match=r"the result of workflow 'careless' cannot be stored: value\[1\]\.lock is a object",
        ):
            await app.run(careless)


async def test_a_result_that_never_ends_fails_the_run(database):
    @workflow
    async def endless() -> list[Any]:
        value: list[Any] = []
        value.append(value)
        return value

    async with app_on(database, endless) as app:
        with pytest.raises(RunFailed, match="the result of workflow 'endless' cannot be stored"):
            await app.run(endless)


async def test_a_cancelled_and_a_blocked_run_are_told_apart(database):
    async def before() -> None:
        await sleep(3600)

    sleeper = workflow(name="sleeper")(before)
    async with app_on(database, sleeper) as app:
        handle = await app.start(sleeper, run_id="cancelled")
        await app.story.state("cancelled", RunState.WAITING)
        await handle.cancel()
        with pytest.raises(RunCancelled, match="run 'cancelled' was cancelled"):
            await handle.result()
        with pytest.raises(RunCancelled):
            await handle.result()

    @workflow(name="sleeper")
    async def takes(count: int) -> None: ...

    async with app_on(database, takes, linger=0) as app:
        with pytest.raises(
            RunBlocked, match="the input does not fit workflow 'sleeper': count: Field required"
        ):
            await app._engine.submit(a_run(b"{}"))
            await (await app.get("r")).result()


def a_run(data: bytes):
    from podium.domain.ids import RunId
    from podium.domain.runs import Run

    return Run(RunId("r"), "sleeper", data, 5, 1.0)


async def test_the_timeline_tells_what_happened(database):
    @step(retries=1, backoff=0)
    async def flaky(i: int) -> int:
        from podium import current_step

        if current_step().attempt == 1:
            raise ConnectionError("reset")
        return i

    @workflow
    async def one() -> int:
        await sleep(0.01)
        return await flaky(7)

    async with app_on(database, one) as app:
        handle = await app.start(one, run_id="r")
        await handle.result()
        timeline = await handle.timeline()
    nap, call = timeline.operations
    assert (nap.key, nap.state) == ("0:sleep#1", "done")
    assert some(nap.seconds) >= 0
    assert (call.key, call.state, call.value) == ("0:flaky#1", "done", 7)
    (attempt,) = call.attempts
    assert (attempt.number, some(attempt.error).type, some(attempt.error).message) == (
        1,
        "ConnectionError",
        "reset",
    )
    assert timeline.run.state is RunState.COMPLETED
    assert timeline.run.spending.active_seconds < 5
