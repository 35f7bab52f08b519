"""What carries out the operations of runs, by their kinds."""

from __future__ import annotations

from podium.app.attributes import AttributeExecutor
from podium.app.gateway import Prompting
from podium.app.live_steps import LiveSteps
from podium.app.triggers import Emitting, Triggers
from podium.domain.operations import OperationKind
from podium.flow.publishing import PublishExecutor
from podium.flow.step_executor import StepExecutor
from podium.gateway.executor import PromptExecutor
from podium.ports.execution import Executor
from podium.ports.storage import Storage


def executors_on(
    storage: Storage, steps: StepExecutor, prompting: Prompting, triggers: Triggers
) -> dict[OperationKind, Executor]:
    """Return an executor for each kind of operation that one carries out."""
    return {
        OperationKind.STEP: LiveSteps(steps, prompting.gateway),
        OperationKind.MODEL: PromptExecutor(prompting.gateway, prompting.batches),
        OperationKind.PUBLISH: PublishExecutor(),
        OperationKind.ATTRIBUTES: AttributeExecutor(storage),
        OperationKind.EMIT: Emitting(triggers),
    }
