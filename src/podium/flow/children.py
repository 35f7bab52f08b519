"""`spawn`: a child run that goes on beside the run that started it."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from podium.domain.errors import InvalidInput
from podium.domain.ids import RunId, child_run_id
from podium.flow.workflows import Workflow
from podium.ports.run import CurrentRun, current_run

P = ParamSpec("P")
R = TypeVar("R")


class Child(Generic[R]):
    """A child run as its parent sees it. `id` is its run id."""

    def __init__(self, run: CurrentRun, key: str, outcome: asyncio.Future[R]) -> None:
        self.id: RunId = child_run_id(run.id, key)
        self._run = run
        self._key = key
        self._outcome = outcome
        # That nobody asks for the result is no mistake.
        outcome.add_done_callback(_look_at)

    async def result(self) -> R:
        """Wait for the child to end and return its result; raises `StepFailed` when it failed or was cancelled.

        May be called more than once; giving up the wait does not cancel the child.
        """
        return await asyncio.shield(self._outcome)

    def done(self) -> bool:
        """Return whether the child's end has reached the parent."""
        return self._outcome.done()

    def cancel(self) -> None:
        """Wait for the child no longer, and cancel it unless it was spawned to outlive its parent."""
        self._run.withdraw(self._key)
        self._outcome.cancel()


async def spawn(
    workflow: Workflow[P, R],
    *args: Any,
    on_parent_end: Literal["cancel", "abandon"] = "cancel",
    **kwargs: Any,
) -> Child[R]:
    """Start a child run without waiting for it; the remaining arguments are the workflow's.

    `on_parent_end`: what becomes of a child that is still under way when its parent ends or goes on as new:
    `cancel` it, or `abandon` it, so that it goes on alone. Returns the `Child`. Raises `InvalidInput` for
    arguments that do not fit, `NotInRun` outside a run.
    """
    run = current_run(
        "spawn()", f"e.g. `run = await app.start({getattr(workflow, 'name', 'workflow')}, ...)`."
    )
    if on_parent_end not in ("cancel", "abandon"):
        raise InvalidInput(f"spawn(): on_parent_end must be 'cancel' or 'abandon', not {on_parent_end!r}")
    intent = workflow.as_child(workflow.encode_input(args, kwargs), outlives=on_parent_end == "abandon")
    return Child(run, *run.ask(intent))


def _look_at(outcome: asyncio.Future[Any]) -> None:
    if not outcome.cancelled():
        outcome.exception()
