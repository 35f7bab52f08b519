"""One attempt of an operation, with its end as a value."""

from __future__ import annotations

import asyncio

from podium.domain.errors import ControlFlow, Retryable, Terminal
from podium.domain.operations import Execute, Operation
from podium.domain.outcomes import Done, Failed, Outcome, Retry, Suspended
from podium.engines.embedded.host import Host
from podium.flow.failures import error_record
from podium.ports.execution import AttemptContext, Executor


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
    except Exception as error:  # noqa: BLE001 - whatever a step raises is an outcome
        return _after_failure(error, request, context.attempt, host)


def _after_failure(error: Exception, request: Execute, attempts: int, host: Host) -> Outcome:
    record = error_record(error)
    policy = request.policy
    later = error.retry_after if isinstance(error, Retryable) else None
    if isinstance(error, Terminal | ControlFlow):
        return Failed(record)
    if policy.allows(attempts):
        return Retry(record, policy.delay(attempts, host.jitter(), later))
    if later is not None and attempts <= policy.reschedules:
        return Suspended(record, host.clock() + later)
    return Failed(record)
