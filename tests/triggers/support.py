"""Triggers on a real database, with a clock that a test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import Run
from podium.app.firing import Firing
from podium.app.triggers import Triggers
from podium.domain.triggers import TriggerState
from podium.flow.triggers import Trigger
from podium.flow.workflows import Workflow
from tests.support.apps import App, app_on, patiently, until

NOON = 1_800_000_000.0 // 86_400 * 86_400 + 12 * 3600.0
"""A noon in UTC, in January 2027."""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Triggered:
    """An app with triggers that go by a clock of their own."""

    app: App
    triggers: Triggers
    firing: Firing
    clock: Clock

    async def at(self, now: float) -> None:
        """Set the clock, and return once everything that is then due has been fired and the runs have ended or wait."""
        self.clock.now = now
        self.firing.look()
        async with patiently():
            await self.firing.quiet()
        await self.app.idle()

    async def after(self, seconds: float) -> None:
        """Move the clock on, and return once everything that is then due has been fired."""
        await self.at(self.clock.now + seconds)

    async def runs(self) -> Sequence[Run]:
        """All runs, by id."""
        return sorted(await self.app.runs.list(limit=1000), key=lambda run: run.id)

    async def state(self, name: str) -> TriggerState:
        return await self.triggers.get(name)

    async def look(self) -> None:
        await self.after(0.0)


@asynccontextmanager
async def triggered(
    database: Path,
    *triggers: Trigger,
    clock: Clock | None = None,
    source: str | None = None,
    submit: Any = None,
    workflows: Sequence[Workflow[Any, Any]] = (),
) -> AsyncIterator[Triggered]:
    """An app whose triggers fire by `clock`; `submit(app)` may stand in for the app's own."""
    known = {
        workflow.name: workflow for workflow in (*workflows, *(trigger.workflow for trigger in triggers))
    }
    clock = clock or Clock()
    async with app_on(database, *known.values()) as app:
        storage: Any = app.runs._storage
        firing = Firing(
            triggers,
            storage,
            app.runs,
            submit(app) if submit else app.submit,
            source=source,
            poll_interval=0.01,
            version=storage.version,
            clock=clock,
        )
        # News reaches this loop as they would reach the app's own.
        app._firing = firing
        await firing.start()
        try:
            await firing.quiet()
            yield Triggered(app, Triggers(storage, firing.look, clock=clock), firing, clock)
        finally:
            await firing.close()


__all__ = ["DAY", "HOUR", "MINUTE", "NOON", "Clock", "Triggered", "triggered", "until"]
