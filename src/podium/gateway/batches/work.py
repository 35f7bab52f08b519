"""What the parts of a batch share: what they work with, how items become requests, and requests that are not for replies."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from podium.domain.answers import CallAttempt, FailureKind
from podium.domain.errors import PodiumError
from podium.domain.ids import digest
from podium.domain.policies import PromptPolicy
from podium.gateway.batches.values import BatchPlan
from podium.gateway.budgets.held import Reservations
from podium.gateway.cache.answers import AnswerCache, Question
from podium.gateway.cache.key import cache_key
from podium.gateway.conversation import opening
from podium.gateway.failures import Fault
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.gateway.traffic import Lease, Traffic
from podium.gateway.versions import PromptUses
from podium.ports.batches import BatchRecords
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelFailure, ModelProviders, ModelRequest
from podium.settings.gateway import GatewaySettings

R = TypeVar("R")

OF_THE_BATCH: Final = frozenset({FailureKind.NOT_FOUND, FailureKind.BAD_REQUEST, FailureKind.UNAVAILABLE})
"""Failures that say nothing about the service: it takes no such batch, or knows none of that id."""


@dataclass(frozen=True, slots=True)
class BatchMeans:
    """What batches work with; see `Gateway`. `clock` gives seconds that only grow, `now` seconds since the epoch."""

    providers: ModelProviders
    settings: GatewaySettings
    traffic: Traffic
    records: BatchRecords
    reservations: Reservations | None = None
    cache: AnswerCache | None = None
    uses: PromptUses | None = None
    workflows: Mapping[str, PromptPolicy] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time

    def policy(self, prompt: Prompt[Any], context: AttemptContext) -> CallPolicy:
        """Return what a call goes by."""
        return CallPolicy.merged(self.settings, prompt.policy, self.workflows.get(context.workflow))


def holder_of(run: str, plan: BatchPlan, number: int | None = None) -> str:
    """Return under which name a plan, or one of its portions, has money set aside."""
    whole = f"batch {digest(run, plan.key)}/"
    return whole if number is None else f"{whole}{number}/"


def request_of(
    prompt: Prompt[Any], variables: Mapping[str, object], policy: CallPolicy, model: str
) -> ModelRequest:
    """Return what is asked of `model` about one item: the same as in a call by itself."""
    return ModelRequest(
        messages=opening(prompt, variables),
        limits=policy.limits,
        schema=prompt.output.schema,
        schema_name=prompt.name,
        max_tokens=policy.max_tokens,
        temperature=policy.temperature,
        schema_mode=policy.schema_mode(model),
        schema_told=True,
    )


def question_of(
    means: BatchMeans, prompt: Prompt[Any], variables: Mapping[str, object], policy: CallPolicy, tenant: str
) -> Question | None:
    """Return an item as the cache sees it, None when its answer is not to be given again."""
    fresh_for = means.settings.cache if prompt.cache is None else prompt.cache
    if means.cache is None or not fresh_for:
        return None
    key = cache_key(prompt, policy, opening(prompt, variables), tenant)
    return Question(key, prompt.reference, prompt.codec, fresh_for, policy.timeout)


@dataclass(slots=True)
class Log:
    """Tells the timeline of the requests that are made about a batch."""

    context: AttemptContext
    clock: Callable[[], float]
    number: int = 0

    def note(self, model: str, outcome: str, message: str, *, latency: float = 0.0) -> None:
        """Tell of a request that did what it should."""
        self._record(model, outcome, message, None, latency)

    def fault(self, model: str, outcome: str, fault: Fault, *, latency: float = 0.0) -> None:
        """Tell of one that did not, and what follows."""
        self._record(model, outcome, fault.message, fault.kind, latency)

    def _record(
        self, model: str, outcome: str, message: str, kind: FailureKind | None, latency: float
    ) -> None:
        self.number += 1
        self.context.record(
            CallAttempt(
                model=model,
                number=self.number,
                outcome=outcome,
                failure=kind,
                message=message,
                latency=latency,
            )
        )


async def over(lease: Lease, clock: Callable[[], float], work: Awaitable[R]) -> R:
    """Return what a request about a batch came to, and tell its lease; raises `ModelFailure`."""
    began = clock()
    try:
        found = await work
    except ModelFailure as failure:
        if failure.kind in OF_THE_BATCH:
            lease.dropped(clock())
        else:
            fault = Fault.of(failure.kind, str(failure), failure.retry_after)
            lease.failed(clock(), fault, failure.usage, clock() - began)
        raise
    except PodiumError as error:
        lease.dropped(clock())
        raise ModelFailure(FailureKind.UNAVAILABLE, str(error)) from None
    except BaseException:
        # Cancelled: nobody is to blame.
        lease.dropped(clock())
        raise
    lease.served(clock())
    return found
