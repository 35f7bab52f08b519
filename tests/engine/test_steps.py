"""Steps: what is executed, how often, and what the workflow gets."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from podium import (
    RunFailed,
    StepFailed,
    step,
    workflow,
)
from tests.support.apps import app_on, outcomes, until


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
        await until(lambda: len(executed) == 2)
    gate.set()
    async with app_on(database, two) as app:
        assert app.taken_up == 1
        assert await (await app.get("r")).result() == "kept"
    assert executed == ["first", "second kept", "second kept"]


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
    async def careless() -> dict[str, Any]:
        return {"good": 1, "bad": {"callback": lambda: None}}

    @workflow
    async def caller() -> str:
        try:
            await careless()
        except StepFailed as failure:
            return f"{failure.error.type}: {failure.error.message}"
        return "unreachable"

    async with app_on(database, caller) as app:
        message = await app.run(caller)
    assert message.startswith(
        "NotSerialisable: the result of step 'careless' cannot be stored: value.bad.callback is a function"
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
        with pytest.raises(RunFailed, match=r"the result of step 'locks' is declared as .*lock"):
            await app.run(caller)
    assert not executed


async def test_an_argument_that_has_no_stable_form_is_refused_with_its_path(database):
    @step
    async def takes(thing: dict[str, Any]) -> None: ...

    @workflow
    async def caller() -> None:
        await takes({"inner": [1, object()]})

    async with app_on(database, caller) as app:
        with pytest.raises(RunFailed, match=r"an argument of step 'takes' .* thing\.inner\[1\] is a object"):
            await app.run(caller)
