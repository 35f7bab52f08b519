"""Settling steps whose outcome is unknown."""

from __future__ import annotations

import pytest

from podium import (
    InvalidInput,
    RunBlocked,
    RunFailed,
    RunState,
    Settlement,
    SettlementKind,
    StateConflict,
    step,
    workflow,
)
from podium.app.database import open_database
from tests.support.apps import app_on, outcomes, until
from tests.support.world import work, world


@pytest.fixture(autouse=True)
def _fresh_world():
    world.reset()


@step(at_most_once=True)
async def send(text: str) -> str:
    world.calls.append(text)
    await world.gate.wait()
    return text.upper()


@workflow
async def sends() -> str:
    sent = await send("mail")
    return f"{sent} sent"


@pytest.fixture
async def unknown(database):
    """A run whose at-most-once step was under way when its process died."""
    async with app_on(database, sends) as app:
        await app.start(sends, run_id="r")
        await until(lambda: world.calls == ["mail"])
    async with app_on(database, sends) as app:
        with pytest.raises(RunBlocked, match="podium runs settle r"):
            await (await app.get("r")).result()
    return database


class TestSettle:
    @pytest.mark.parametrize("beside", [False, True])
    async def test_as_done_with_its_result(self, unknown, beside):
        async with app_on(unknown, sends) as app:
            settlement = Settlement(SettlementKind.DONE, '"BY HAND"')
            if beside:
                async with open_database(unknown) as opened:
                    await opened.runs.settle("r", settlement)
            else:
                await app.runs.settle("r", settlement)
            await app.story.state("r", RunState.COMPLETED)
            assert await (await app.get("r")).result() == "BY HAND sent"
            assert world.calls == ["mail"]

    async def test_as_failed(self, unknown):
        async with app_on(unknown, sends) as app:
            await app.runs.settle("r", Settlement(SettlementKind.FAILED, "it bounced"))
            await app.story.state("r", RunState.FAILED)
            with pytest.raises(RunFailed, match="it bounced"):
                await (await app.get("r")).result()

    async def test_starting_the_run_again_does_not_undo_what_was_settled(self, unknown):
        world.gate.set()
        async with open_database(unknown) as opened:
            await opened.runs.settle("r", Settlement(SettlementKind.FAILED, "it bounced"))
        async with app_on(unknown, sends) as app:
            run = await app.start(sends, run_id="r")
            await app.idle()
            with pytest.raises(RunFailed, match="it bounced"):
                await run.result()
            assert world.calls == ["mail"]

    async def test_as_not_begun_so_that_it_is_done_now(self, unknown):
        world.gate.set()
        async with app_on(unknown, sends) as app:
            await app.runs.settle("r", Settlement(SettlementKind.AGAIN, "no mail left the house"))
            await app.story.state("r", RunState.COMPLETED)
            assert world.calls == ["mail", "mail"]
            assert "0:send#1=done" in outcomes(await app.journal("r"))

    async def test_a_result_that_does_not_fit_leaves_it_blocked(self, unknown):
        async with app_on(unknown, sends) as app:
            await app.runs.settle("r", Settlement(SettlementKind.DONE, "[1]"))
            moved = await app.story.state("r", RunState.BLOCKED)
            assert "does not fit its type: Input should be a valid string" in (moved.waiting_on or "")
            await app.idle()
            await app.runs.settle("r", Settlement(SettlementKind.DONE, '"x"'), "0:send#1")
            await app.story.state("r", RunState.COMPLETED)

    async def test_only_what_is_unknown_can_be_settled(self, unknown):
        async with app_on(unknown, sends) as app:
            with pytest.raises(InvalidInput, match="0:send#1"):
                await app.runs.settle("r", Settlement(SettlementKind.AGAIN, ""), "0:other#1")
            await app.runs.settle("r", Settlement(SettlementKind.DONE, '"x"'))
            await app.story.state("r", RunState.COMPLETED)
            with pytest.raises(StateConflict, match="nothing to settle"):
                await app.runs.settle("r", Settlement(SettlementKind.DONE, '"x"'))

    async def test_cancelling_such_a_run_runs_its_clean_up(self, database):
        @workflow
        async def cleans() -> None:
            try:
                await send("mail")
            finally:
                await work("clean-up")

        async with app_on(database, cleans) as app:
            await app.start(cleans, run_id="r")
            await until(lambda: world.calls == ["mail"])
        async with app_on(database, cleans) as app:
            run = await app.get("r")
            with pytest.raises(RunBlocked):
                await run.result()
            await run.cancel()
            await app.story.state("r", RunState.CANCELLED)
            assert world.calls == ["mail", "clean-up"]
