"""What carries out the operations of prompts: single calls, and the parts of a batch."""

from __future__ import annotations

from typing import Any

from podium.domain.operations import Execute
from podium.gateway.batches.batches import Batches
from podium.gateway.batches.batching import Cancellation, Collection, Planning, Submission
from podium.ports.execution import AttemptContext, Executor


class PromptExecutor:
    """Sends calls to `gateway` and batches to `batches`."""

    def __init__(self, gateway: Executor, batches: Batches) -> None:
        self._gateway = gateway
        self._batches = batches

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        """Return the answer, or what a part of a batch comes to; raises what each of them raises."""
        match request.target:
            case Planning() | Submission() | Collection() | Cancellation():
                return await self._batches.execute(request.target, context)
            case _:
                return await self._gateway.execute(request, context)
