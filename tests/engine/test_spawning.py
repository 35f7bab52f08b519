"""Child runs that go on beside the run that started them."""

from __future__ import annotations

import pytest

from podium import RunState, StepFailed, spawn, step, wait_for_event, workflow
from tests.support.apps import app_on


@step
async def work(name: str) -> str:
    return name.upper()


class TestSpawn:
    async def test_a_child_goes_on_beside_and_can_be_waited_for(self, database):
        @workflow
        async def child(name: str) -> str:
            return await work(name)

        @workflow
        async def parent() -> list[str]:
            children = [await spawn(child, name) for name in "abc"]
            meanwhile = await work("meanwhile")
            return [meanwhile, *[await each.result() for each in children]]

        async with app_on(database, parent, child) as app:
            assert await app.run(parent) == ["MEANWHILE", "A", "B", "C"]

    async def test_its_id_is_known_at_once(self, database):
        @workflow
        async def child() -> str:
            return await wait_for_event("go", str)

        @workflow
        async def parent() -> list[str]:
            mine = await spawn(child)
            return [mine.id, await mine.result()]

        async with app_on(database, parent, child) as app:
            run = await app.start(parent, run_id="p")
            await app.story.state("p", RunState.WAITING)
            (stored,) = await app.list(workflow="child")
            await app.send_event(stored.id, "go", "x")
            assert await run.result() == [stored.id, "x"]

    @pytest.mark.parametrize(
        ("policy", "state"), [("cancel", RunState.CANCELLED), ("abandon", RunState.COMPLETED)]
    )
    async def test_when_the_parent_ends_it_is_cancelled_or_goes_on_alone(self, database, policy, state):
        @workflow
        async def child() -> str:
            return await wait_for_event("go", str)

        @workflow
        async def parent() -> str:
            await spawn(child, on_parent_end=policy)
            await wait_for_event("end")
            return "ended"

        async with app_on(database, parent, child) as app:
            run = await app.start(parent, run_id="p")
            await app.story.state("p", RunState.WAITING)
            await run.send_event("end")
            await run.result()
            (stored,) = await app.list(workflow="child")
            if policy == "abandon":
                await app.send_event(stored.id, "go", "x")
            await app.story.state(stored.id, state)
            await app.idle()

    async def test_its_failure_is_told_to_who_asks(self, database):
        @workflow
        async def child() -> None:
            raise ValueError("no")

        @workflow
        async def parent(asks: bool) -> str:
            mine = await spawn(child)
            await work("a")
            if asks:
                try:
                    await mine.result()
                except StepFailed as error:
                    return str(error)
            return "never asked"

        async with app_on(database, parent, child) as app:
            assert "ValueError: no" in await app.run(parent, True)
            assert await app.run(parent, False) == "never asked"

    async def test_it_can_be_cancelled(self, database):
        @workflow
        async def child() -> None:
            await wait_for_event("never")

        @workflow
        async def parent() -> bool:
            mine = await spawn(child)
            await work("a")
            mine.cancel()
            return mine.done()

        async with app_on(database, parent, child) as app:
            assert await app.run(parent)
            await app.idle()
            (stored,) = await app.list(workflow="child")
            assert stored.state is RunState.CANCELLED
