"""`prompt.batch([...])`: many calls at once, by a vendor's batches where there are any."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from podium.domain.answers import Answer
from podium.domain.batches import BatchTicket
from podium.domain.errors import PodiumError, Retryable, StepFailed
from podium.domain.operations import Codec, Execute, Intent, OperationKind, WaitUntil
from podium.domain.retries import RetryPolicy
from podium.domain.values import TypedCodec, fingerprint
from podium.gateway.batches.values import Answers, BatchPlan, Plans
from podium.gateway.cache.answers import told
from podium.ports.run import CurrentRun

if TYPE_CHECKING:
    from podium.gateway.prompt import Prompt

T = TypeVar("T")
Outcome = Answer[T] | PodiumError
"""What became of one call of a batch: its answer, or the error that awaiting it would have raised."""

_FIRST_LOOK, _RAREST_LOOK, _GROWTH = 30.0, 600.0, 1.5
_MOST_FAILED_LOOKS = 20
_TIMER = TypedCodec(None, "a timer")
_TICKET = TypedCodec(BatchTicket | None, "the ticket of a batch")
_DONE = TypedCodec(str, "the end of a batch")
_ASKING = RetryPolicy(retries=2, base=1.0, cap=60.0, reschedules=10)
# A day and more, at ten minutes each: whether the vendor took a batch may be known only when one like it has ended.
_SUBMITTING = RetryPolicy(retries=2, base=1.0, cap=60.0, reschedules=200)
_CANCELLING = RetryPolicy(retries=3, base=0.5, cap=5.0)


@dataclass(frozen=True, slots=True)
class Planning:
    """Decide what of `items` is to be asked of a vendor in batches, and set aside what that may cost."""

    prompt: Prompt[Any]
    items: Sequence[Mapping[str, object]]

    @property
    def name(self) -> str:
        """The name of the operation."""
        return f"{self.prompt.name}.plan"


@dataclass(frozen=True, slots=True)
class Submission:
    """Hand in one portion of a plan, unless that has been done: `items` are those of the portion."""

    prompt: Prompt[Any]
    plan: BatchPlan
    number: int
    items: Sequence[Mapping[str, object]]

    @property
    def name(self) -> str:
        """The name of the operation."""
        return f"{self.prompt.name}.submit"


@dataclass(frozen=True, slots=True)
class Collection:
    """Look for the results of the batch that `submission` became."""

    submission: Submission
    ticket: BatchTicket

    @property
    def name(self) -> str:
        """The name of the operation."""
        return f"{self.submission.prompt.name}.collect"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Have the batch that `submission` became, if it did, stopped at the vendor, because nobody waits for it."""

    submission: Submission
    ticket: BatchTicket | None

    @property
    def name(self) -> str:
        """The name of the operation."""
        return f"{self.submission.prompt.name}.cancel"


Target = Planning | Submission | Collection | Cancellation


async def batch(
    run: CurrentRun, prompt: Prompt[T], items: Sequence[Mapping[str, object]], concurrency: int
) -> list[Outcome[T]]:
    """Ask `prompt` once for each of `items`, durably, and return what became of each, in their order.

    Equal items are asked once. What a vendor's batch answers not at all, or not so that it can be used, is asked for
    one by one, at most `concurrency` at a time.
    """
    where = f"a variable of prompt {prompt.name!r}"
    firsts: dict[str, int] = {}
    distinct: list[Mapping[str, object]] = []
    places: list[int] = []
    for each in items:
        places.append(firsts.setdefault(fingerprint(each, where), len(distinct)))
        if places[-1] == len(distinct):
            distinct.append(each)
    mark = fingerprint({"items": list(firsts)}, where)
    outcomes = await _Batch(run, prompt, distinct, mark).outcomes(concurrency)
    seen: set[int] = set()
    found: list[Outcome[T]] = []
    for place in places:
        outcome = outcomes[place]
        found.append(_again(outcome) if place in seen and isinstance(outcome, Answer) else outcome)
        seen.add(place)
    return found


class _Batch:
    """One batch on its way through the run; `mark` is the fingerprint of its items."""

    def __init__(
        self, run: CurrentRun, prompt: Prompt[Any], items: Sequence[Mapping[str, object]], mark: str
    ) -> None:
        self._run = run
        self._prompt = prompt
        self._items = items
        self._mark = mark
        self._found: list[Outcome[Any] | None] = [None] * len(items)

    async def outcomes(self, concurrency: int) -> list[Outcome[Any]]:
        if not self._items:
            return []
        plan = await self._ask(Planning(self._prompt, self._items), Plans(self._prompt.codec), _ASKING)
        for place, answer in plan.answers.items():
            self._found[place] = answer
        await asyncio.gather(*(self._portion(plan, number) for number in range(len(plan.portions))))
        slots = asyncio.Semaphore(concurrency)

        async def one(place: int) -> Outcome[Any]:
            known = self._found[place]
            if known is not None:
                return known
            async with slots:
                try:
                    return await self._prompt(**self._items[place])
                except PodiumError as error:
                    return error

        return list(await asyncio.gather(*map(one, range(len(self._items)))))

    async def _portion(self, plan: BatchPlan, number: int) -> None:
        portion = plan.portions[number]
        submission = Submission(self._prompt, plan, number, [self._items[place] for place in portion])
        ticket: BatchTicket | None = None
        try:
            # On disk before anything is waited for: after a restart the same batch is looked for, not another made.
            ticket = await self._ask(submission, _TICKET, _SUBMITTING)
            if ticket is None:
                return
            answers = await self._answers(Collection(submission, ticket))
        except asyncio.CancelledError:
            await self._stop(submission, ticket)
            raise
        except PodiumError as error:
            await self._stop(submission, ticket)
            for place in portion:
                self._found[place] = error
        else:
            for place, answer in zip(portion, answers, strict=True):
                self._found[place] = answer

    async def _answers(self, collection: Collection) -> Sequence[Answer[Any] | None]:
        ticket, codec = collection.ticket, Answers(self._prompt.codec)
        since = f"{datetime.fromtimestamp(ticket.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
        what = f"batch {ticket.batch} ({ticket.count:,} requests) at {ticket.model} since {since}"
        pause, failures = _FIRST_LOOK, 0
        while True:
            wait = WaitUntil(self._run.now() + pause, self._run.now(), what)
            name = f"{self._prompt.name}.wait"
            await self._run.perform(Intent(OperationKind.TIMER, name, "", wait, _TIMER))
            try:
                found: Sequence[Answer[Any] | None] | None = await self._ask(collection, codec, _ASKING)
            except (Retryable, StepFailed):
                # The batch goes on meanwhile and has been paid for: an outage of the vendor is waited out.
                failures += 1
                if failures == _MOST_FAILED_LOOKS:
                    raise
            else:
                failures = 0
                if found is not None:
                    return found
            pause = min(pause * _GROWTH, _RAREST_LOOK)

    async def _stop(self, submission: Submission, ticket: BatchTicket | None) -> None:
        # That it could not be stopped is on the timeline, and no reason for the run to end otherwise.
        with contextlib.suppress(PodiumError):
            await self._ask(Cancellation(submission, ticket), _DONE, _CANCELLING)

    async def _ask(self, target: Target, codec: Codec, policy: RetryPolicy) -> Any:
        request = Execute(target, {}, policy)
        return await self._run.perform(Intent(OperationKind.MODEL, target.name, self._mark, request, codec))


def _again(answer: Answer[Any]) -> Answer[Any]:
    """Return the answer to an item for one that equals it, which cost nothing more."""
    given, attempt = told(answer, 0.0)
    return replace(given, attempts=(replace(attempt, message="the same item of this batch was asked once"),))
