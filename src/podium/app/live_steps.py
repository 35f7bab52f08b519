"""Steps that may stream prompts: what they ask is recorded as attempts of the step."""

from __future__ import annotations

from typing import Any

from podium.domain.operations import Execute
from podium.gateway.streaming import Streamer
from podium.ports.execution import AttemptContext, Executor
from podium.ports.live import making_live_calls


class LiveSteps:
    """Executes steps by `steps`; the prompts that they stream are answered by `gateway`."""

    def __init__(self, steps: Executor, gateway: Executor) -> None:
        self._steps = steps
        self._gateway = gateway

    async def execute(self, request: Execute, context: AttemptContext) -> Any:
        """Return what the step returns; raises what it raises."""
        of_step = (context.run, context.key, context.workflow, context.tenant)
        with making_live_calls(Streamer(self._gateway, context.record, *of_step)):
            return await self._steps.execute(request, context)
