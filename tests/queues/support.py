"""Workflows whose ends the test decides, and how to follow them."""

from __future__ import annotations

import asyncio

from podium import RunState, step, workflow
from tests.support.apps import App, until


class Desk:
    """Runs of `work` note that they began, and end when the test says so."""

    def __init__(self, queue: str | None = "q") -> None:
        self.began: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

        @step
        async def attend(name: str) -> str:
            self.began.append(name)
            await self.gate(name).wait()
            return name

        @workflow(queue=queue)
        async def work(name: str) -> str:
            return await attend(name)

        self.work = work

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def end(self, *names: str) -> None:
        for name in names:
            self.gate(name).set()

    async def until_began(self, *names: str) -> None:
        await until(lambda: set(names) <= set(self.began))


async def states(app: App, *run_ids: str) -> list[RunState]:
    return [(await app.runs.get(run_id)).state for run_id in run_ids]
