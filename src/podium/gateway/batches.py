"""What batches ask of vendors: handed in, looked at, and their replies judged like any others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from podium.domain.answers import Answer, AnyAnswer
from podium.domain.errors import Retryable
from podium.domain.money import Money
from podium.domain.policies import PromptPolicy
from podium.gateway.batching import Collection, Submission
from podium.gateway.conversation import opening
from podium.gateway.failures import RULES, Action, Fault
from podium.gateway.judgement import Accepted, judged
from podium.gateway.ledger import ACCEPTED, Ledger, Trial
from podium.gateway.line import Candidate
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.gateway.wording import well_formed
from podium.ports.batches import BatchProvider
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelFailure, ModelProviders, ModelReply, ModelRequest
from podium.settings.gateway import GatewaySettings


class Batches:
    """Carries out what batches ask of vendors. `workflows` are the policies of workflows by name."""

    def __init__(
        self,
        providers: ModelProviders,
        settings: GatewaySettings,
        workflows: Mapping[str, PromptPolicy] | None = None,
    ) -> None:
        self._providers = providers
        self._settings = settings
        self._workflows = workflows or {}

    async def submit(self, submission: Submission, context: AttemptContext) -> str | None:
        """Hand the batch in and return its ticket, or None where the first candidate takes none.

        Raises `Retryable` when the vendor cannot be reached just now.
        """
        _, model, requests = self._requests(submission, context)
        provider, name = self._providers.find(model)
        if not requests or not isinstance(provider, BatchProvider):
            return None
        try:
            return await provider.submit(name, requests) if await provider.takes_batches(name) else None
        except ModelFailure as failure:
            if RULES[failure.kind].action in (Action.RETRY, Action.WAIT):
                raise Retryable(
                    f"{failure}; the batch was not submitted", retry_after=failure.retry_after
                ) from None
            # It takes no such batch; one by one each candidate has its turn.
            return None

    async def collect(self, wanted: Collection, context: AttemptContext) -> list[AnyAnswer | None] | None:
        """Return the answers, None for what is to be asked for again; None in all while the batch is under way.

        Raises `Retryable` when the vendor cannot be asked just now.
        """
        policy, model, requests = self._requests(wanted.submission, context)
        provider, name = self._providers.find(model)
        if not isinstance(provider, BatchProvider):
            return [None] * len(requests)
        try:
            outcomes = await provider.collect(name, wanted.ticket, requests)
        except ModelFailure as failure:
            raise Retryable(
                f"{failure}; the batch goes on meanwhile", retry_after=failure.retry_after
            ) from None
        if outcomes is None:
            return None
        prompt = wanted.submission.prompt
        return [
            self._answer(
                prompt, policy, Candidate(model, request.messages, request.max_tokens, 0), outcome, context
            )
            for request, outcome in zip(requests, outcomes, strict=True)
        ]

    def _requests(
        self, submission: Submission, context: AttemptContext
    ) -> tuple[CallPolicy, str, list[ModelRequest]]:
        prompt = submission.prompt
        policy = CallPolicy.merged(self._settings, prompt.policy, self._workflows.get(context.workflow))
        model = policy.models[0]
        requests = [
            ModelRequest(
                messages=opening(prompt, variables),
                limits=policy.limits,
                schema=prompt.output.schema,
                schema_name=prompt.name,
                max_tokens=policy.max_tokens,
                temperature=policy.temperature,
                schema_mode=policy.schema_mode(model),
                schema_told=True,
            )
            for variables in submission.items
        ]
        return policy, model, requests

    def _answer(
        self,
        prompt: Prompt[Any],
        policy: CallPolicy,
        candidate: Candidate,
        outcome: ModelReply | ModelFailure,
        context: AttemptContext,
    ) -> AnyAnswer | None:
        ledger = Ledger(context.record)
        if isinstance(outcome, ModelFailure):
            fault = Fault.of(outcome.kind, str(outcome), outcome.retry_after)
            ledger.note(candidate, Trial(fault, "", outcome.usage, outcome.cost or Money()), "next")
            return None
        reply = replace(outcome, text=well_formed(outcome.text))
        found = judged(prompt, reply, policy.longest)
        trial = Trial(found, reply.text, reply.usage, reply.cost or Money())
        if not isinstance(found, Accepted):
            ledger.note(candidate, trial, "next")
            return None
        ledger.note(candidate, trial, ACCEPTED)
        return Answer(
            value=found.value,
            confidence=found.confidence,
            quality=found.quality,
            model=candidate.model,
            cost=ledger.cost,
            usage=ledger.usage,
            prompt=prompt.reference,
            attempts=ledger.attempts,
        )
