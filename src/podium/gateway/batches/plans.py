"""Plans of batches: what is known already, which vendor takes the rest, in which portions, within which budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic_core import to_json

from podium.domain.answers import AnyAnswer, CallAttempt, FailureKind
from podium.domain.errors import BudgetExceeded, PodiumError, RecordingUnusable
from podium.gateway.batches.batching import Planning
from podium.gateway.batches.values import BatchPlan
from podium.gateway.batches.work import BatchMeans, holder_of, question_of, request_of
from podium.gateway.cache.answers import told
from podium.gateway.policy import CallPolicy
from podium.ports.batches import BatchLimits, BatchProvider
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelRequest

MOST_TOGETHER: Final = 1000
"""Requests in one batch, however many a vendor takes: its answers are in memory and in one journal entry together."""

# What an encoded request has beside its messages and its schema.
_AROUND: Final = 2048
# Between so many items, others have their turn.
_SOME: Final = 100


class BatchPlans:
    """Makes plans. `means` is what batches work with."""

    def __init__(self, means: BatchMeans) -> None:
        self._means = means

    async def plan(self, planning: Planning, context: AttemptContext) -> BatchPlan:
        """Return a plan; what its portions may cost is set aside then.

        A candidate whose vendor takes no batches ends the search: from there on items are asked one by one. Raises
        `BudgetExceeded` when there is no room for the batch, or with the candidates of all.
        """
        means, prompt = self._means, planning.prompt
        policy = means.policy(prompt, context)
        breach: BudgetExceeded | None = None
        answers: dict[int, AnyAnswer] | None = None
        for model in policy.models:
            try:
                limits = await self._limits(model)
            except PodiumError as error:
                context.record(_turned(model, FailureKind.UNAVAILABLE, str(error)))
                continue
            if limits is None:
                return BatchPlan(context.idempotency_key, means.now(), model, answers or {}, ())
            if answers is None:
                answers = await self._known(planning, policy, context)
            requests = {}
            for place, variables in enumerate(planning.items):
                if place not in answers:
                    requests[place] = request_of(prompt, variables, policy, model)
                if place % _SOME == 0:
                    await asyncio.sleep(0)
            portions = list(_portions(requests, limits))
            plan = BatchPlan(context.idempotency_key, means.now(), model, answers, portions)
            try:
                await self._reserve(planning, plan, requests, policy, context)
            except BudgetExceeded as error:
                context.record(_turned(model, FailureKind.BUDGET, str(error)))
                if not error.cheaper:
                    raise
                breach = error
            else:
                return plan
        if breach is not None:
            raise breach
        return BatchPlan(context.idempotency_key, means.now(), policy.models[0], {}, ())

    async def _limits(self, model: str) -> BatchLimits | None:
        try:
            route = self._means.providers.routes(model)[0]
            route.provider.check(route.model)
        except RecordingUnusable:
            # Asked one by one it ends the call, which going on to the next candidate would not.
            return None
        if not isinstance(route.provider, BatchProvider):
            return None
        return await route.provider.batch_limits(route.model)

    async def _known(
        self, planning: Planning, policy: CallPolicy, context: AttemptContext
    ) -> dict[int, AnyAnswer]:
        cache, known = self._means.cache, dict[int, AnyAnswer]()
        for place, variables in enumerate(planning.items):
            question = question_of(self._means, planning.prompt, variables, policy, context.tenant)
            answer = None if cache is None or question is None else await cache.find(question)
            if answer is not None:
                known[place], attempt = told(answer, 0.0)
                context.record(attempt)
        return known

    async def _reserve(
        self,
        planning: Planning,
        plan: BatchPlan,
        requests: Mapping[int, ModelRequest],
        policy: CallPolicy,
        context: AttemptContext,
    ) -> None:
        reservations = self._means.reservations
        if reservations is None:
            return
        charges = {}
        for number, portion in enumerate(plan.portions):
            asked = [requests[place] for place in portion]
            charges[holder_of(context.run, plan, number)] = reservations.charge(
                planning.prompt, context, plan.model, asked
            )
            await asyncio.sleep(0)
        holder = holder_of(context.run, plan)
        await reservations.reserve(planning.prompt, context, holder, charges, policy.timeout)


def _portions(requests: Mapping[int, ModelRequest], limits: BatchLimits) -> Iterator[Sequence[int]]:
    """Yield the places of requests that fit into one batch each."""
    portion: list[int] = []
    size = 0
    for place, request in requests.items():
        # As JSON, with all its escapes, which may be escaped once more: half of what the vendor takes is enough.
        weight = len(to_json(request.messages, bytes_mode="base64")) + _AROUND
        weight += 0 if request.schema is None else len(to_json(request.schema))
        if portion and (
            len(portion) == min(limits.requests, MOST_TOGETHER) or size + weight > limits.size // 2
        ):
            yield portion
            portion, size = [], 0
        portion.append(place)
        size += weight
    if portion:
        yield portion


def _turned(model: str, kind: FailureKind, message: str) -> CallAttempt:
    return CallAttempt(model=model, number=1, outcome="next", failure=kind, message=message)
