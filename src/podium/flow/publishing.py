"""`publish`: a value for whoever streams the run, from a step or from the workflow itself."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any

from podium.domain.ids import digest
from podium.domain.operations import Execute, Intent, OperationKind
from podium.domain.retries import RetryPolicy
from podium.domain.values import TypedCodec
from podium.flow.step_executor import step_under_way
from podium.ports.execution import AttemptContext
from podium.ports.run import current_run, in_run

_NOTHING = TypedCodec(None, "a published chunk")
_ONCE = RetryPolicy()


def publish(value: Any) -> Awaitable[None]:
    """Add `value`, of plain JSON types or a pydantic model, to the run's stream; to be awaited.

    In a step it is added at once, also without `await`, so that plain functions can publish too; it is on disk
    no later than the step's outcome, and when the step is retried it is marked as superseded. In a workflow it
    is recorded, and on replay not published again. Raises `NotSerialisable`, and `NotInRun` outside both.
    """
    payload = TypedCodec(type(value), "a published value").encode(value)
    step = step_under_way()
    if step is not None and not in_run():
        step.publish(payload)
        return _Done()
    run = current_run("publish()", "there is nobody to stream to.")
    request = Execute(None, {"payload": payload}, _ONCE)
    return run.perform(Intent(OperationKind.PUBLISH, "publish", digest(payload)[:16], request, _NOTHING))


class PublishExecutor:
    """Carries out what a workflow itself publishes."""

    async def execute(self, request: Execute, context: AttemptContext) -> None:
        """Add the payload to the run's stream."""
        context.publish(request.arguments["payload"])


class _Done:
    """Something to await that has been done already."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield
