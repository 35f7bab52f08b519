"""Carries out steps: coroutines on the host's event loop, plain functions in threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

from podium.domain.errors import NotInRun, StepTimeout
from podium.domain.operations import Execute
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
    """Executes steps. `threads` bounds how many plain functions run at once."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="podium-step")

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        """Return what the step's function returns; raises what it raises, or `StepTimeout`.

        A plain function that runs past its timeout cannot be stopped: its thread goes on, its result is
        dropped.
        """
        step: Step[Any, Any] = request.target
        timeout = request.policy.timeout
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                if step.is_async:
                    _attempt.set(context)
                    return await step.function(**request.arguments)
                scope = copy_context()
                scope.run(_attempt.set, context)
                call = partial(scope.run, partial(step.function, **request.arguments))
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StepTimeout(f"step {step.name!r} took longer than its timeout of {timeout:g} s") from error

    def close(self) -> None:
        """Take no more work. Threads that are still busy are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
