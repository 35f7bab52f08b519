"""Code that changes under a run: noticed, named from both sides, and gone on with once it is restored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from podium import DecisionVerdict, RunBlocked, RunState, ask_human, gather, step, workflow
from podium.app.database import open_database
from podium.domain.runs import Run
from podium.flow.steps import Step
from podium.flow.workflows import Workflow
from tests.support.apps import app_on, some

executed: list[str] = []


def a_step(name: str) -> Step[..., str]:
    async def body(argument: str = "x") -> str:
        executed.append(name)
        return f"{name} {argument}"

    return step(name=name)(body)


@step(name="first")
async def first_as_a_number(argument: str = "x") -> int:
    raise AssertionError("its outcome is recorded")


first, second, third = a_step("first"), a_step("second"), a_step("third")


async def original() -> str:
    await first()
    await second("y")
    human = await ask_human("Go on?")
    return f"{await third()} {human.value}"


async def renamed() -> None:
    await a_step("primero")()
    await second("y")
    await ask_human("Go on?")


async def removed() -> None:
    await second("y")
    await ask_human("Go on?")


async def removed_at_the_end() -> str:
    return await first()


async def added_before() -> None:
    await third()
    await first()
    await second("y")
    await ask_human("Go on?")


async def swapped() -> None:
    await second("y")
    await first()
    await ask_human("Go on?")


async def put_into_a_branch() -> None:
    await gather(first())
    await second("y")
    await ask_human("Go on?")


async def other_arguments() -> None:
    await first()
    await second("z")
    await ask_human("Go on?")


async def other_type() -> None:
    await first_as_a_number()
    await second("y")
    await ask_human("Go on?")


async def a_child_in_its_place() -> None:
    await workflow(name="first")(original)()


async def now_it_fails() -> None:
    raise RuntimeError("before anything else")


CHANGES = [
    (renamed, r"the journal records step '0:first#1' \(entry 1\), the code now asks for '0:primero#1'"),
    (removed, r"the journal records step '0:first#1' \(entry 1\), the code now asks for '0:second#1'"),
    (
        removed_at_the_end,
        r"the journal records step '0:second#1' \(entry 2\), the code now asks for nothing more",
    ),
    (added_before, r"the journal records step '0:first#1' \(entry 1\), the code now asks for '0:third#1'"),
    (swapped, r"the journal records step '0:first#1' \(entry 1\), the code now asks for '0:second#1'"),
    (
        put_into_a_branch,
        r"the journal records step '0:first#1' \(entry 1\), the code now asks for '0\.1:first#1'",
    ),
    (
        other_arguments,
        r"step '0:second#1' \(entry 2, arguments \w+\), .* step '0:second#1' with other arguments",
    ),
    (
        other_type,
        r"the recorded value of '0:first#1' \(entry 1\) does not fit the type that the code declares now",
    ),
    (a_child_in_its_place, r"step '0:first#1' .* the code now asks for child '0:first#1' with other kind"),
    (now_it_fails, r"the journal records step '0:first#1' \(entry 1\), the code now asks for nothing more"),
]


def desk(code) -> Workflow[Any, Any]:
    return Workflow(code, "desk", None)


@pytest.fixture
async def begun(database):
    """A run of the original code, decided on while nobody works on it, so that it is to go on."""
    executed.clear()
    async with app_on(database, desk(original)) as app:
        await app.start(some(app._workflows.current("desk")), run_id="r")
        await app.story.state("r", RunState.WAITING)
    await decide(database, "yes")
    assert executed == ["first", "second"]
    return SimpleNamespace(database=database)


async def decide(database: Path, value: str) -> None:
    """Decide the only open review while nobody works on its run."""
    async with open_database(database) as other:
        (review,) = await other.reviews.list()
        await other.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=orjson.dumps(value))


@pytest.mark.parametrize(("changed", "both_sides"), CHANGES, ids=[code.__name__ for code, _ in CHANGES])
async def test_changed_code_blocks_the_run_and_restored_code_goes_on(begun, changed, both_sides):
    async with app_on(begun.database, desk(changed)) as app:
        blocked = await app.story.state("r", RunState.BLOCKED)
        with pytest.raises(RunBlocked, match=both_sides):
            await (await app.get("r")).result()
        assert some(blocked.error).type in ("CodeChanged", "Undecodable")
        assert not app.in_memory
        await app.idle()
        assert app.story.moves("r") == [RunState.RUNNING, RunState.BLOCKED]
    assert executed == ["first", "second"]

    restored = desk(original)
    async with app_on(begun.database, restored) as app:
        handle = await app.start(restored, run_id="r")
        assert await handle.result() == "third x yes"
    assert executed == ["first", "second", "third"]


async def test_a_blocked_run_is_not_tried_again_of_its_own(begun):
    async with app_on(begun.database, desk(renamed)) as app:
        await app.story.state("r", RunState.BLOCKED)
    for code in (renamed, original):
        async with app_on(begun.database, desk(code)) as app:
            assert app.taken_up == 0
            await app.idle()
            assert app.story.moves("r") == []


async def test_submitting_it_again_with_code_that_is_still_wrong_blocks_it_again(begun):
    async with app_on(begun.database, desk(renamed)) as app:
        await app.story.state("r", RunState.BLOCKED)
    wrong = desk(removed)
    async with app_on(begun.database, wrong) as app:
        handles = await asyncio.gather(*[app.start(wrong, run_id="r") for _ in range(5)])
        for handle in handles:
            with pytest.raises(RunBlocked, match="the code now asks for '0:second#1'"):
                await handle.result()


async def test_a_decision_that_arrives_while_the_run_is_blocked_is_kept_for_when_it_goes_on(database):
    @workflow(name="desk")
    async def asks() -> str:
        await first()
        one = await ask_human("One?")
        two = await ask_human("Two?")
        return f"{one.value} {two.value}"

    async with app_on(database, asks) as app:
        await app.start(asks, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
    changed = desk(renamed)
    async with app_on(database, changed) as app:
        handle = await app.start(changed, run_id="r")
        assert await handle.status() is RunState.WAITING
        await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"1"')
        await app.story.state("r", RunState.BLOCKED)
    async with app_on(database, asks) as app:
        handle = await app.start(asks, run_id="r")
        await app.story.tells(lambda h: getattr(getattr(h, "entry", None), "name", "") == "review")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, DecisionVerdict.EDIT, reviewer="ada", value=b'"2"')
        assert await handle.result() == "1 2"


async def test_input_that_no_longer_fits_blocks_the_run(database):
    @workflow(name="desk")
    async def before(count: int) -> int:
        await ask_human("Go on?")
        return count

    @workflow(name="desk")
    async def after(count: list[int]) -> list[int]:
        await ask_human("Go on?")
        return count

    async with app_on(database, before) as app:
        await app.start(before, 3, run_id="r")
        await app.story.state("r", RunState.WAITING)
    await decide(database, "yes")
    async with app_on(database, after) as app:
        await app.story.state("r", RunState.BLOCKED)
        with pytest.raises(
            RunBlocked, match="the input does not fit workflow 'desk': count: Input should be a valid array"
        ):
            await (await app.get("r")).result()


async def test_a_fault_in_a_declared_type_blocks_the_run_instead_of_leaving_it_in_the_air(database):
    import pydantic

    class Moody(pydantic.BaseModel):
        mood: str

        @pydantic.field_validator("mood")
        @classmethod
        def never(cls, value: str) -> str:
            if moody:
                raise KeyError("an error of the wrong kind")
            return value

    moody = False

    @step
    async def feel() -> Moody:
        return Moody(mood="good")

    @workflow
    async def day() -> str:
        feeling = await feel()
        await ask_human("Really?")
        return feeling.mood

    async with app_on(database, day) as app:
        await app.start(day, run_id="r")
        await app.story.state("r", RunState.WAITING)
    await decide(database, "yes")
    moody = True
    async with app_on(database, day) as app:
        await app.story.state("r", RunState.BLOCKED)
    moody = False
    async with app_on(database, day) as app:
        handle = await app.start(day, run_id="r")
        assert await handle.result() == "good"


async def test_what_was_never_recorded_may_change(begun):
    async def longer() -> str:
        await first()
        await second("y")
        human = await ask_human("Go on?")
        return f"{await third('a')} {await third('b')} {human.value}"

    async with app_on(begun.database, desk(longer)) as app:
        assert await (await app.get("r")).result() == "third a third b yes"
        stored: Run = await app.runs.get("r")
        assert stored.state is RunState.COMPLETED
