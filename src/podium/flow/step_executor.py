"""Carries out steps: coroutines on the host's event loop, plain functions in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

from podium.domain.errors import NotInRun, StepTimeout
from podium.domain.operations import Execute
from podium.flow.step_threads import StepThreads
from podium.flow.steps import Step
from podium.ports.execution import AttemptContext

_attempt: ContextVar[AttemptContext] = ContextVar("podium_attempt")


def current_step() -> AttemptContext:
    """Return what the step that is running may know about itself: run, key, attempt, idempotency key.

    Raises `NotInRun` outside a step's body.
    """
    try:
        return _attempt.get()
    except LookupError:
        raise NotInRun("current_step()", "it is only known inside a step's body.") from None


class StepExecutor:
    """Executes steps. `threads` bounds how many plain functions are waited for at once."""

    def __init__(self, threads: int) -> None:
        self._threads = StepThreads()
        self._slots = asyncio.Semaphore(threads)

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        """Return what the step's function returns; raises what it raises, or `StepTimeout`.

        The timeout counts from when the function begins, not from when it has to wait for a thread. A plain
        function that runs past it cannot be stopped: its thread goes on, its result is dropped.
        """
        step: Step[Any, Any] = request.target
        if step.is_async:
            _attempt.set(context)
            return await self._within(request.policy.timeout, step, step.function(**request.arguments))
        scope = copy_context()
        scope.run(_attempt.set, context)
        call = partial(scope.run, partial(step.function, **request.arguments))
        async with self._slots:
            return await self._within(request.policy.timeout, step, self._threads.call(call))

    async def _within(
        self, timeout: float | None, step: Step[Any, Any], work: Coroutine[Any, Any, Any]
    ) -> Any:
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StepTimeout(f"step {step.name!r} took longer than its timeout of {timeout:g} s") from error

    def close(self) -> None:
        """Take no more work. Threads that are still busy are not waited for."""
        self._threads.close()
