"""What batches ask of vendors: planned, handed in, looked at, their replies judged like any others, and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, assert_never

from podium.domain.answers import Answer, AnyAnswer, CallAttempt, FailureKind, Usage
from podium.domain.batches import BatchTicket, batch_mark
from podium.domain.errors import BudgetExceeded, PodiumError, Retryable
from podium.domain.money import Money
from podium.gateway.batches.batching import Cancellation, Collection, Planning, Submission, Target
from podium.gateway.batches.plans import BatchPlans
from podium.gateway.batches.submission import BatchSubmissions, route_with
from podium.gateway.batches.work import BatchMeans, Log, holder_of, over, question_of, request_of
from podium.gateway.budgets.estimate import estimate
from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted, judged
from podium.gateway.ledger import ACCEPTED, Ledger, Trial
from podium.gateway.line import Candidate
from podium.gateway.policy import CallPolicy
from podium.gateway.prompt import Prompt
from podium.gateway.traffic import Held, Lease, Wish
from podium.gateway.under_way import bill_of
from podium.gateway.wording import well_formed
from podium.ports.batches import BatchProvider
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelFailure, ModelReply, ModelRequest

_LATER: Final = 60.0
_SOME: Final = 20
_TRIES: Final = 3


class Batches:
    """Carries out what batches ask of vendors. `means` is what they work with."""

    def __init__(self, means: BatchMeans) -> None:
        self._means = means
        self._plans = BatchPlans(means)
        self._submissions = BatchSubmissions(means)

    async def close(self) -> None:
        """Break off what is being handed in; after a restart it is looked for."""
        await self._submissions.close()

    async def execute(self, target: Target, context: AttemptContext) -> Any:
        """Return the plan of a batch, the ticket of a portion, its answers, or how it was stopped."""
        match target:
            case Planning():
                return await self._plans.plan(target, context)
            case Submission():
                return await self._submissions.submit(target, context)
            case Collection():
                return await self._collect(target, context)
            case Cancellation():
                return await self._cancel(target, context)
            case _:
                assert_never(target)

    async def _collect(self, wanted: Collection, context: AttemptContext) -> list[AnyAnswer | None] | None:
        """Return the answers, None for what is to be asked for again; None in all while the batch is under way.

        Raises `Retryable` when the vendor cannot be asked just now.
        """
        submission, ticket, means = wanted.submission, wanted.ticket, self._means
        log, began = Log(context, means.clock), means.clock()
        provider, model, lease = self._admitted(ticket, context)
        try:
            requests = await over(
                lease, means.clock, self._ended(provider, model, submission, ticket, context)
            )
            if requests is None:
                return None
            _, _, lease = self._admitted(ticket, context)
            mark = batch_mark(context.run, submission.plan.key, submission.number)
            outcomes = await over(lease, means.clock, provider.results(model, ticket.batch, mark, requests))
        except ModelFailure as failure:
            fault = Fault.of(failure.kind, str(failure), failure.retry_after)
            if fault.kind is not FailureKind.NOT_FOUND:
                log.fault(ticket.model, "wait", fault, latency=means.clock() - began)
                raise Retryable(
                    f"{fault.message}; the batch goes on meanwhile", retry_after=fault.retry_after
                ) from None
            await self._end(submission, context, None)
            log.fault(ticket.model, "next", fault, latency=means.clock() - began)
            return [None] * len(submission.items)
        outcomes, spent = self._billed(submission, ticket, requests, outcomes, context)
        await self._end(submission, context, spent)
        return await self._judged(submission, ticket, requests, outcomes, context)

    async def _ended(
        self,
        provider: BatchProvider,
        model: str,
        submission: Submission,
        ticket: BatchTicket,
        context: AttemptContext,
    ) -> Sequence[ModelRequest] | None:
        """Return the requests of a batch that is over."""
        if not await provider.is_over(model, ticket.batch):
            return None
        policy = self._means.policy(submission.prompt, context)
        return [request_of(submission.prompt, each, policy, ticket.model) for each in submission.items]

    def _admitted(self, ticket: BatchTicket, context: AttemptContext) -> tuple[BatchProvider, str, Lease]:
        """Return whom to ask about a batch, by the credential that handed it in, and the permission to."""
        means = self._means
        try:
            route = route_with(means, ticket.model, ticket.credential)
        except PodiumError as error:
            raise Retryable(f"{error} Batch {ticket.batch} goes on meanwhile", retry_after=_LATER) from None
        if not isinstance(route.provider, BatchProvider):
            raise Retryable(f"{ticket.model} takes no batches any more", retry_after=_LATER)
        now = means.clock()
        lease = means.traffic.admit([route], Wish(1, context.tenant, now + _LATER), now)
        if isinstance(lease, Held):
            wait = min(max(lease.until - now, _LATER / 2), 10 * _LATER)
            raise Retryable(f"{lease.message}; batch {ticket.batch} goes on meanwhile", retry_after=wait)
        return route.provider, route.model, lease

    def _billed(
        self,
        submission: Submission,
        ticket: BatchTicket,
        requests: Sequence[ModelRequest],
        outcomes: Sequence[ModelReply | ModelFailure],
        context: AttemptContext,
    ) -> tuple[Sequence[ModelReply | ModelFailure], tuple[Money, Usage] | None]:
        """Return the outcomes, what nobody counted at what was set aside for it, and what all of them came to.

        The latter is None when nobody can tell any more what was set aside for each.
        """
        reservations, billed = self._means.reservations, list(outcomes)
        if reservations is None:
            return outcomes, None
        for number, (request, outcome) in enumerate(zip(requests, outcomes, strict=True)):
            if outcome.counted:
                continue
            try:
                share = reservations.charge(submission.prompt, context, ticket.model, [request])
            except BudgetExceeded:
                return outcomes, None
            usage = estimate(request.messages, request.max_tokens, request.schema)
            billed[number] = _at(outcome, usage, Money(share.nanos) if share.nanos else None)
        return billed, _spent(billed)

    async def _judged(
        self,
        submission: Submission,
        ticket: BatchTicket,
        requests: Sequence[ModelRequest],
        outcomes: Sequence[ModelReply | ModelFailure],
        context: AttemptContext,
    ) -> list[AnyAnswer | None]:
        prompt, policy = submission.prompt, self._means.policy(submission.prompt, context)
        answers: list[AnyAnswer | None] = []
        calls: list[CallAttempt] = []
        for number, (request, outcome) in enumerate(zip(requests, outcomes, strict=True)):
            answer = _answer(prompt, policy, ticket, request, outcome, Ledger(calls.append))
            if answer is not None:
                self._keep(prompt, submission.items[number], policy, answer, context)
            answers.append(answer)
            if number % _SOME == 0:
                await asyncio.sleep(0)
        # All of it in one turn with the outcome of the operation, so that after a crash none is counted twice.
        for call in calls:
            context.record(call)
        return answers

    def _keep(
        self,
        prompt: Prompt[Any],
        variables: Mapping[str, object],
        policy: CallPolicy,
        answer: AnyAnswer,
        context: AttemptContext,
    ) -> None:
        if self._means.uses is not None:
            self._means.uses.note(prompt, context.tenant)
        question = question_of(self._means, prompt, variables, policy, context.tenant)
        if question is not None and self._means.cache is not None:
            self._means.cache.keep(question, answer)

    async def _cancel(self, wanted: Cancellation, context: AttemptContext) -> str:
        """Have the batch of a portion stopped, if there is one, and settle what it cost; return what was done."""
        submission, ticket, means = wanted.submission, wanted.ticket, self._means
        log = Log(context, means.clock)
        try:
            ticket = ticket or await self._submissions.known(submission, context, log)
        except Retryable as unknown:
            if context.attempt <= _TRIES:
                raise Retryable(str(unknown)) from None
            await self._end(submission, context, None)
            return f"nothing was stopped: {unknown}"
        if ticket is None:
            await self._end(submission, context, (Money(), Usage()))
            return "nothing had been submitted"
        provider, model, lease = self._admitted(ticket, context)
        began = means.clock()
        try:
            await over(lease, means.clock, provider.cancel(model, ticket.batch))
            # What it had answered by now is paid for.
            ended = await self._ended(provider, model, submission, ticket, context)
            mark = batch_mark(context.run, submission.plan.key, submission.number)
            spent = None
            if ended is not None:
                outcomes = await provider.results(model, ticket.batch, mark, ended)
                _, spent = self._billed(submission, ticket, ended, outcomes, context)
        except ModelFailure as failure:
            fault = Fault.of(failure.kind, str(failure), failure.retry_after)
            log.fault(ticket.model, "wait", fault, latency=means.clock() - began)
            raise Retryable(f"{fault.message}; batch {ticket.batch} was not stopped") from None
        await self._end(submission, context, spent)
        said = f"batch {ticket.batch} was cancelled"
        log.note(ticket.model, "cancelled", said, latency=means.clock() - began)
        return said

    async def _end(
        self, submission: Submission, context: AttemptContext, spent: tuple[Money, Usage] | None
    ) -> None:
        """Settle what a portion cost, all that was set aside when nobody knows; nothing is to come of it any more."""
        means = self._means
        if means.reservations is not None:
            holder = holder_of(context.run, submission.plan, submission.number)
            await means.reservations.settle(context, holder, spent)
        await means.records.forget(
            context.tenant, batch_mark(context.run, submission.plan.key, submission.number)
        )


def _spent(outcomes: Sequence[ModelReply | ModelFailure]) -> tuple[Money, Usage]:
    cost = sum((each.cost or Money() for each in outcomes), Money())
    return cost, sum((each.usage for each in outcomes), Usage())


def _at(outcome: ModelReply | ModelFailure, usage: Usage, cost: Money | None) -> ModelReply | ModelFailure:
    """Return an outcome of this usage and cost, neither of which its provider counted."""
    if isinstance(outcome, ModelReply):
        return replace(outcome, usage=usage, cost=cost)
    return ModelFailure(outcome.kind, str(outcome), usage=usage, cost=cost, counted=False)


def _answer(
    prompt: Prompt[Any],
    policy: CallPolicy,
    ticket: BatchTicket,
    request: ModelRequest,
    outcome: ModelReply | ModelFailure,
    ledger: Ledger,
) -> AnyAnswer | None:
    candidate = Candidate(ticket.model, tuple(request.messages), request.max_tokens, 0)
    note = f"by batch {ticket.batch}"
    if isinstance(outcome, ModelFailure):
        fault = Fault.of(outcome.kind, str(outcome), outcome.retry_after)
        ledger.note(candidate, Trial(fault, "", outcome.usage, outcome.cost), "next")
        return None
    reply = replace(outcome, text=well_formed(outcome.text))
    found = judged(prompt, reply, policy.longest)
    bill = bill_of(reply, candidate.messages)
    trial = Trial(found, reply.text, bill.usage, bill.cost, bill.price_table, estimated=bill.estimated)
    if not isinstance(found, Accepted):
        ledger.note(candidate, trial, "next")
        return None
    ledger.note(candidate, trial, ACCEPTED, note)
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
