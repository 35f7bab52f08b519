"""The workflows that are measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.plain_sqlite import PAYLOAD
from podium import Podium, Settings, StorageSettings, ask_human, step, wait_for_event, workflow

if TYPE_CHECKING:
    from podium.flow.workflows import Workflow


EVENT: Final = "go-on"


@step
async def work(number: int) -> str:
    """Return 1 KB. That the step itself does nothing leaves the cost of making it durable."""
    del number
    return PAYLOAD


@workflow
async def in_sequence(steps: int) -> int:
    """Perform `steps` steps, one after the other; return the characters that they returned together."""
    total = 0
    for number in range(steps):
        total += len(await work(number))
    return total


@workflow
async def then_a_person(steps: int) -> int:
    """Perform `steps` steps, then wait for a person; return as `in_sequence` does."""
    total = 0
    for number in range(steps):
        total += len(await work(number))
    await ask_human("Is this so?", proposal="yes")
    return total


@workflow
async def parked(number: int) -> int:
    """Wait for an event, then return `number`."""
    await wait_for_event(EVENT)
    return number


def podium(path: Path) -> Podium:
    """Return a Podium on the database at `path`, as safe as can be: every commit survives a loss of power."""
    settings = Settings(storage=StorageSettings(synchronous="FULL"))
    workflows: list[Workflow[Any, Any]] = [in_sequence, then_a_person, parked]
    return Podium(path, workflows=workflows, settings=settings)
