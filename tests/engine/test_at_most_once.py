"""At-most-once steps: never executed twice, and no silence about what nobody knows."""

from __future__ import annotations

import asyncio

import pytest

from podium import InvalidDefinition, RunBlocked, RunState, StepFailed, ask_human, step, workflow
from podium.domain.journal import EntryType
from tests.support.apps import app_on, some
from tests.support.processes import run, world, written

DIES_WHILE_IT_SENDS = """
@step(at_most_once=True)
async def send() -> str:
    note("sent")
    die()

@workflow
async def letter() -> str:
    return await send()

async def main():
    async with app_on(DATABASE, letter) as app:
        await app.run(letter, run_id="r")

asyncio.run(main())
"""


@step(at_most_once=True)
async def send() -> str:
    raise AssertionError("executed a second time")


@workflow
async def letter() -> str:
    return await send()


async def test_a_crash_between_start_and_outcome_blocks_the_run_and_never_executes_the_step_again(
    tmp_path, database
):
    assert run(written(tmp_path, DIES_WHILE_IT_SENDS), database).returncode == -9

    for _ in range(3):
        async with app_on(database, letter) as app:
            # Submitting it again is an order to try, and is answered in the same way.
            handle = await app.start(letter, run_id="r")
            with pytest.raises(RunBlocked, match="nobody knows whether it took effect"):
                await handle.result()
            assert some((await app.runs.get("r")).error).type == "OutcomeUnknown"
            assert not app.in_memory
    assert world(database) == ["sent"]


async def test_that_it_begins_is_on_disk_before_it_begins(database):
    on_disk: list[EntryType] = []

    @step(at_most_once=True)
    async def send() -> str:
        on_disk.extend(entry.type for entry in await app.journal("r"))
        return "ok"

    @workflow
    async def letter() -> str:
        return await send()

    async with app_on(database, letter) as app:
        assert await app.run(letter, run_id="r") == "ok"
    assert on_disk == [EntryType.STARTED]


async def test_a_failure_is_an_outcome_and_is_not_tried_again(database):
    attempts = []

    @step(at_most_once=True)
    async def send() -> None:
        attempts.append(1)
        raise ConnectionError("reset")

    @workflow
    async def letter() -> str:
        try:
            await send()
        except StepFailed as failure:
            return failure.error.type
        return "unreachable"

    async with app_on(database, letter) as app:
        assert await app.run(letter) == "ConnectionError"
    assert len(attempts) == 1


async def test_code_that_no_longer_asks_for_a_step_that_had_begun_is_changed_code(tmp_path, database):
    run(written(tmp_path, DIES_WHILE_IT_SENDS), database)

    sent_again = []

    @step(at_most_once=True)
    async def post() -> str:
        sent_again.append(1)
        return "sent twice"

    @workflow(name="letter")
    async def renamed() -> str:
        return await post()

    async with app_on(database, renamed) as app:
        handle = await app.start(renamed, run_id="r")
        with pytest.raises(RunBlocked, match=r"'0:send#1' .* the code now asks for '0:post#1'"):
            await handle.result()
    assert not sent_again


async def test_stopping_while_it_runs_leaves_its_outcome_unknown_too(database):
    begun = asyncio.Event()

    @step(at_most_once=True)
    async def send() -> None:
        begun.set()
        await asyncio.Event().wait()

    @workflow
    async def letter() -> None:
        await send()

    async with app_on(database, letter) as app:
        await app.start(letter, run_id="r")
        await begun.wait()
    async with app_on(database, letter) as app:
        await app.story.state("r", RunState.BLOCKED)


async def test_it_cannot_be_declared_with_retries():
    with pytest.raises(InvalidDefinition, match="at_most_once forbids a second execution"):
        step(at_most_once=True, retries=1)


async def test_a_run_that_gives_one_up_before_it_begins_leaves_memory_all_the_same(database):
    go, sent = asyncio.Event(), []

    @step
    async def one() -> None:
        await go.wait()

    @step
    async def other() -> None:
        await go.wait()

    @step(at_most_once=True)
    async def send() -> None:
        sent.append(1)

    async def sends() -> None:
        await one()
        await send()

    @workflow
    async def changes_its_mind() -> None:
        sending = asyncio.create_task(sends())
        await asyncio.sleep(0)
        await other()
        sending.cancel()
        await ask_human("What now?")

    async with app_on(database, changes_its_mind) as app:
        await app.start(changes_its_mind, run_id="r")
        await app.story.state("r", RunState.RUNNING)
        # Both outcomes go into one commit, so that the second is there before `send` can begin.
        go.set()
        await app.story.state("r", RunState.WAITING)
        assert not app.in_memory
    assert not sent
