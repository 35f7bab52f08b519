"""Handing a batch in, exactly once: what may have been handed in before is looked for first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from podium.domain.answers import FailureKind
from podium.domain.batches import BatchTicket, batch_mark
from podium.domain.errors import BudgetExceeded, PodiumError, Retryable
from podium.gateway.batches.batching import Submission
from podium.gateway.batches.work import OF_THE_BATCH, BatchMeans, Log, holder_of, over, request_of
from podium.gateway.failures import RULES, Action, Fault
from podium.gateway.policy import CallPolicy
from podium.gateway.traffic import Held, Wish
from podium.ports.batches import BatchProvider, BatchRecord, Lookup, Sought
from podium.ports.execution import AttemptContext
from podium.ports.models import ModelFailure, ModelRequest, Route

_MAYBE_TAKEN: Final = frozenset(
    {FailureKind.RESET, FailureKind.TIMEOUT, FailureKind.STALL, FailureKind.SERVER, FailureKind.INTERNAL}
)
"""Failures after which the vendor may have the batch all the same."""

_LATER: Final = frozenset({Action.RETRY, Action.RETRY_ONCE, Action.WAIT, Action.SWITCH_OR_WAIT})
_SOONEST, _RAREST = 15.0, 600.0
_FINISHING = 30.0


@dataclass(slots=True)
class _Try:
    """One submission on its way. `later`: a candidate may take it then, seconds from now; None when none may."""

    wanted: Submission
    policy: CallPolicy
    context: AttemptContext
    mark: str
    log: Log
    later: float | None = None

    @property
    def patience(self) -> float:
        """After how many seconds to try again when nobody says when."""
        return min(_SOONEST * 2.0 ** min(self.context.attempt - 1, 10), _RAREST)

    def wait(self, seconds: float | None) -> None:
        """Note that a candidate may be asked again, after `seconds` if that is known."""
        wait = self.patience if seconds is None else min(max(seconds, 1.0), _RAREST)
        self.later = wait if self.later is None else min(self.later, wait)


class BatchSubmissions:
    """Hands batches in. `means` is what batches work with."""

    def __init__(self, means: BatchMeans) -> None:
        self._means = means
        self._under_way: dict[str, asyncio.Task[str]] = {}

    async def close(self) -> None:
        """Break off what is being handed in."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(self, wanted: Submission, context: AttemptContext) -> BatchTicket | None:
        """Hand a portion in and return its ticket, or None when it is to be asked one by one.

        Raises `Retryable` when nobody takes it just now, or nobody can tell whether it was taken, and
        `BudgetExceeded` when the candidate that would take it instead is too dear.
        """
        means = self._means
        mark = batch_mark(context.run, wanted.plan.key, wanted.number)
        attempt = _Try(wanted, means.policy(wanted.prompt, context), context, mark, Log(context, means.clock))
        ticket = await self.known(wanted, context, attempt.log)
        if ticket is not None:
            return ticket
        for model in self._models(attempt):
            requests = [request_of(wanted.prompt, each, attempt.policy, model) for each in wanted.items]
            if not await self._affords(attempt, model, requests):
                continue
            try:
                ticket = await self._offered(attempt, model, requests)
            except _Declined:
                # It takes no such batch: one by one each candidate has its turn.
                attempt.later = None
                break
            if ticket is not None:
                return ticket
        if attempt.later is not None:
            said = f"no candidate takes the batch of prompt {wanted.prompt.name!r} just now: it was not submitted"
            raise Retryable(said, retry_after=attempt.later)
        await self._release(wanted, context)
        return None

    async def known(self, wanted: Submission, context: AttemptContext, log: Log) -> BatchTicket | None:
        """Return the ticket of a portion that was handed in before, None when it was not.

        Raises `Retryable` when that cannot be told yet.
        """
        means = self._means
        mark = batch_mark(context.run, wanted.plan.key, wanted.number)
        if mark in self._under_way:
            # Nobody waits for it any more, and yet it is better to know what came of it.
            await asyncio.wait([self._under_way[mark]], timeout=_FINISHING)
        record = await means.records.find(context.tenant, mark)
        if record is None:
            return None
        if record.batch is None:
            lookup = await self._looked_up(record, log)
            if lookup.maybe:
                said = (
                    f"whether {record.model} took this batch is not known: it may be {', '.join(lookup.maybe)}, which "
                    "tells when it has ended. Nothing is submitted before"
                )
                raise Retryable(said, retry_after=_RAREST if context.attempt > 10 else _SOONEST * 4)
            if lookup.batch is None:
                await means.records.forget(context.tenant, mark)
                return None
            record = replace(record, batch=lookup.batch)
            await means.records.taken(context.tenant, mark, lookup.batch)
        ticket = _ticket(record)
        log.note(record.model, "found", f"batch {ticket.batch} had been submitted{_by(record.credential)}")
        return ticket

    async def _looked_up(self, record: BatchRecord, log: Log) -> Lookup:
        means = self._means
        others = await means.records.others(record.place, record.mark)
        sought = Sought(record.mark, record.count, record.begun_at, others)
        began = means.clock()
        try:
            route = route_with(means, record.model, record.credential)
            if not isinstance(route.provider, BatchProvider):
                return Lookup()
            lease = means.traffic.admit([route], Wish(1, record.tenant, began + 60.0), began)
            if isinstance(lease, Held):
                raise Retryable(
                    f"{lease.message}; whether a batch was taken is looked up later",
                    retry_after=max(lease.until - began, 1.0),
                )
            return await over(lease, means.clock, route.provider.find(route.model, sought))
        except ModelFailure as failure:
            fault = Fault.of(failure.kind, str(failure), failure.retry_after)
            if failure.kind is FailureKind.NOT_FOUND:
                # It has no list of batches, and hence none.
                return Lookup()
            log.fault(record.model, "wait", fault, latency=means.clock() - began)
            raise Retryable(
                f"{fault.message}; whether a batch was taken is looked up later",
                retry_after=fault.retry_after or _SOONEST * 4,
            ) from None

    def _models(self, attempt: _Try) -> Sequence[str]:
        models = attempt.policy.models
        first = attempt.wanted.plan.model
        return models[models.index(first) :] if first in models else models

    async def _affords(self, attempt: _Try, model: str, requests: Sequence[ModelRequest]) -> bool:
        """Set aside what the batch may cost at `model`, unless that was done when it was planned."""
        reservations, wanted, context = self._means.reservations, attempt.wanted, attempt.context
        if reservations is None:
            return True
        holder = holder_of(context.run, wanted.plan, wanted.number)
        if model == wanted.plan.model and await reservations.has(context, holder):
            return True
        try:
            charges = {holder: reservations.charge(wanted.prompt, context, model, requests)}
            await reservations.reserve(wanted.prompt, context, holder, charges, attempt.policy.timeout)
        except BudgetExceeded as breach:
            attempt.log.fault(model, "next", Fault.of(FailureKind.BUDGET, str(breach)))
            if not breach.cheaper:
                raise
            return False
        return True

    async def _offered(
        self, attempt: _Try, model: str, requests: Sequence[ModelRequest]
    ) -> BatchTicket | None:
        """Offer the batch to one candidate, by each of its credentials; None when it goes to the next."""
        means, refused = self._means, set[str]()
        try:
            routes = means.providers.routes(model)
        except PodiumError as error:
            attempt.log.fault(model, "next", Fault.of(FailureKind.UNAVAILABLE, str(error)))
            return None
        while any(route.credential not in refused for route in routes):
            now = means.clock()
            lease = means.traffic.admit(
                routes, Wish(1, attempt.context.tenant, now + 60.0, refused=refused), now
            )
            if isinstance(lease, Held):
                attempt.log.fault(model, "next", Fault.of(lease.kind, lease.message))
                attempt.wait(max(lease.until - now, attempt.patience))
                return None
            route = lease.lane.route
            try:
                return await over(lease, means.clock, self._handed_in(attempt, model, route, requests))
            except ModelFailure as failure:
                fault = Fault.of(failure.kind, str(failure), failure.retry_after)
                latency = means.clock() - now
                if fault.kind in _MAYBE_TAKEN:
                    attempt.log.fault(model, "wait", fault, latency=latency)
                    said = f"{fault.message}; whether it took the batch is looked up before anything is submitted"
                    raise Retryable(said, retry_after=fault.retry_after or attempt.patience) from None
                await means.records.forget(attempt.context.tenant, attempt.mark)
                attempt.log.fault(model, "next", fault, latency=latency)
                if fault.kind in OF_THE_BATCH:
                    raise _Declined from None
                if RULES[fault.kind].action in _LATER:
                    attempt.wait(fault.retry_after)
                refused.add(route.credential)
        return None

    async def _handed_in(
        self, attempt: _Try, model: str, route: Route, requests: Sequence[ModelRequest]
    ) -> BatchTicket:
        means, context = self._means, attempt.context
        if not isinstance(route.provider, BatchProvider):
            raise ModelFailure(FailureKind.UNAVAILABLE, f"{model} takes no batches")
        record = BatchRecord(
            context.tenant,
            attempt.mark,
            context.run,
            model,
            route.place,
            route.credential,
            len(requests),
            means.now(),
        )
        # On disk before the vendor hears of it: whoever finds this line looks whether the vendor has the batch.
        await means.records.begin(record)
        began = means.clock()
        handing_in = asyncio.create_task(self._send(route.provider, route.model, record, requests))
        self._under_way[record.mark] = handing_in
        handing_in.add_done_callback(lambda _: self._under_way.pop(record.mark, None))
        # Cut off in the middle, nobody would know whether the vendor has it.
        batch = await asyncio.shield(handing_in)
        said = f"batch {batch}, {len(requests):,} requests{_by(route.credential)}"
        attempt.log.note(model, "submitted", said, latency=means.clock() - began)
        return _ticket(replace(record, batch=batch))

    async def _send(
        self, provider: BatchProvider, model: str, record: BatchRecord, requests: Sequence[ModelRequest]
    ) -> str:
        batch = await provider.submit(model, record.mark, requests)
        await self._means.records.taken(record.tenant, record.mark, batch)
        return batch

    async def _release(self, wanted: Submission, context: AttemptContext) -> None:
        if self._means.reservations is not None:
            holder = holder_of(context.run, wanted.plan, wanted.number)
            await self._means.reservations.release(context, holder)


class _Declined(Exception):
    """A candidate takes no such batch."""


def route_with(means: BatchMeans, model: str, credential: str) -> Route:
    """Return the route of a model with this credential, or its first where that is not configured any more."""
    routes = means.providers.routes(model)
    return next((route for route in routes if route.credential == credential), routes[0])


def _ticket(record: BatchRecord) -> BatchTicket:
    return BatchTicket(
        record.batch or "", record.model, record.place, record.credential, record.count, record.begun_at
    )


def _by(credential: str) -> str:
    return f" with {credential}" if credential else ""
