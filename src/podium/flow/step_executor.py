"""Carries out steps: coroutines on the host's event loop, plain functions in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

from podium.domain.errors import NotInRun, StepTimeout
from podium.domain.operations import Execute
from podium.flow.pulse import Pulse
from podium.flow.step_threads import StepThreads
from podium.flow.steps import Step
from podium.ports.execution import AttemptContext

_attempt: ContextVar[AttemptContext] = ContextVar("podium_attempt")
_pulse: ContextVar[Pulse] = ContextVar("podium_pulse")


def current_step() -> AttemptContext:
    """Return what the step that is running may know about itself: run, key, attempt, idempotency key.

    Raises `NotInRun` outside a step's body.
    """
    try:
        return _attempt.get()
    except LookupError:
        raise NotInRun("current_step()", "it is only known inside a step's body.") from None


def heartbeat() -> None:
    """Say, in the body of a step that was declared with `heartbeat=`, that it is alive; elsewhere does nothing."""
    pulse = _pulse.get(None)
    if pulse is not None:
        pulse.beat()


def step_under_way() -> AttemptContext | None:
    """Return what `current_step` returns, or None outside a step's body."""
    return _attempt.get(None)


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
        pulse = None if request.policy.heartbeat is None else Pulse(request.policy.heartbeat)
        if pulse is not None:
            _pulse.set(pulse)
        if step.is_async:
            _attempt.set(context)
            work = step.function(**request.arguments)
            return await self._within(request.policy.timeout, step, _alive(work, pulse, step))
        scope = copy_context()
        scope.run(_attempt.set, context)
        call = partial(scope.run, partial(step.function, **request.arguments))
        async with self._slots:
            work = self._threads.call(call)
            return await self._within(request.policy.timeout, step, _alive(work, pulse, step))

    async def _within(
        self, timeout: float | None, step: Step[Any, Any], work: Coroutine[Any, Any, Any]
    ) -> Any:
        if timeout is None:
            return await work
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


def _alive(
    work: Coroutine[Any, Any, Any], pulse: Pulse | None, step: Step[Any, Any]
) -> Coroutine[Any, Any, Any]:
    return work if pulse is None else pulse.watch(work, step.name)
