"""One attempt of an operation, with its end as a value; and the end of those that nobody waits for any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from podium.domain.errors import ControlFlow, Retryable, StepStalled, Terminal
from podium.domain.operations import Execute, Operation
from podium.domain.outcomes import Done, Failed, Outcome, Retry, Suspended
from podium.engines.embedded.host import Host
from podium.flow.failures import error_record
from podium.ports.execution import AttemptContext, Executor

if TYPE_CHECKING:
    from podium.domain.answers import CallAttempt
    from podium.domain.runs import Run

_log = logging.getLogger(__name__)


def context_of(
    host: Host,
    run: Run,
    key: str,
    number: int,
    once: str,
    record: Callable[[CallAttempt], None],
    tell: Callable[[bytes | None], None],
) -> AttemptContext:
    """Return what an attempt may know about itself.

    `once` is the idempotency key. `tell` adds a chunk to the run's stream or, given None, takes its chunks back.
    """
    workflow = host.workflows.find(run.workflow, run.version)
    budget = None if workflow is None else workflow.budget
    return AttemptContext.of(run, key, number, once, record, tell, partial(tell, None), budget)


async def attempt(
    executor: Executor, operation: Operation, request: Execute, context: AttemptContext, host: Host
) -> Outcome:
    """Execute `operation` once and return what it came to.

    Only the cancellation of the calling task passes through as an exception.
    """
    try:
        value = await executor.execute(request, context)
        return Done(operation.intent.codec.encode(value))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Failed(error_record(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a step raises is an outcome, or its run would hang
        return _after_failure(error, request, context.attempt, host)


async def end_of_all(tasks: Collection[asyncio.Task[Any]], patience: float) -> None:
    """Wait for tasks that have been cancelled; those that have not ended after `patience` seconds are ended by force."""
    for task in await _still_running(tasks, patience):
        coro = task.get_coro()
        _log.warning("%s ignores its cancellation and is ended where it stands", task.get_name())
        try:
            coro.close()
        except RuntimeError:
            _log.error("%s could not be ended: it ignores that too", task.get_name())
        task.cancel()
    await _still_running(tasks, patience)


async def _still_running(
    tasks: Collection[asyncio.Task[Any]], patience: float
) -> Collection[asyncio.Task[Any]]:
    if not tasks:
        return ()
    done, pending = await asyncio.wait(tasks, timeout=patience)
    for task in done:
        if not task.cancelled():
            # Looked at, so that nobody complains that it was not.
            task.exception()
    return pending


def _after_failure(error: BaseException, request: Execute, attempts: int, host: Host) -> Outcome:
    record = error_record(error)
    policy = request.policy
    later = error.retry_after if isinstance(error, Retryable) else None
    if isinstance(error, Terminal | ControlFlow):
        return Failed(record)
    if policy.allows(attempts) or (isinstance(error, StepStalled) and policy.allows_restart(attempts)):
        return Retry(record, policy.delay(attempts, host.jitter(), later))
    if later is not None and attempts <= policy.reschedules:
        return Suspended(record, host.clock() + later)
    return Failed(record)


def work(
    under_way: set[asyncio.Task[None]], attempt: Coroutine[Any, Any, None], name: str
) -> asyncio.Task[None]:
    """Run `attempt` as a task of this name, which is in `under_way` until it has ended; returns the task."""
    task = asyncio.get_running_loop().create_task(attempt, name=name)
    under_way.add(task)
    task.add_done_callback(under_way.discard)
    return task
