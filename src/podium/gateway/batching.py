"""`prompt.batch([...])`: many calls at once, by a vendor's batches where there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import from_json, to_json

from podium.domain.answers import Answer, AnyAnswer
from podium.domain.errors import PodiumError, Retryable, StepFailed
from podium.domain.operations import Codec, Execute, Intent, OperationKind, WaitUntil
from podium.domain.retries import RetryPolicy
from podium.domain.values import TypedCodec, fingerprint
from podium.ports.run import CurrentRun

if TYPE_CHECKING:
    from podium.gateway.prompt import Prompt

T = TypeVar("T")
Outcome = Answer[T] | PodiumError
"""What became of one call of a batch: its answer, or the error that awaiting it would have raised."""

_FIRST_LOOK, _RAREST_LOOK, _GROWTH = 30.0, 600.0, 1.5
_MOST_FAILED_LOOKS = 20
_TIMER = TypedCodec(None, "a timer")
_TICKET = TypedCodec(str | None, "the ticket of a batch")
_ASKING = RetryPolicy(retries=2, base=1.0, cap=60.0, reschedules=10)


@dataclass(frozen=True, slots=True)
class Submission:
    """Hand in a batch: what there is to ask, of the first candidate of `prompt`."""

    prompt: Prompt[Any]
    items: Sequence[Mapping[str, object]]

    @property
    def name(self) -> str:
        """The name of the operation."""
        return f"{self.prompt.name}.submit"


@dataclass(frozen=True, slots=True)
class Collection:
    """Look for the results of the batch that `submission` became."""

    submission: Submission
    ticket: str

    @property
    def name(self) -> str:
        """The name of the operation."""
        return f"{self.submission.prompt.name}.collect"


@dataclass(frozen=True, slots=True)
class _Answers:
    """Stores the answers of a batch, None for those that it did not give, or None while it is under way."""

    each: Codec

    def encode(self, value: Sequence[AnyAnswer | None] | None) -> bytes:
        if value is None:
            return b"null"
        return b"[" + b",".join(b"null" if one is None else self.each.encode(one) for one in value) + b"]"

    def decode(self, data: bytes) -> list[AnyAnswer | None] | None:
        stored = from_json(data)
        if stored is None:
            return None
        return [None if one is None else self.each.decode(to_json(one)) for one in stored]


async def batch(
    run: CurrentRun, prompt: Prompt[T], items: Sequence[Mapping[str, object]], concurrency: int
) -> list[Outcome[T]]:
    """Ask `prompt` once for each of `items`, durably, and return what became of each, in their order.

    What a vendor's batch answers not at all, or not so that it can be used, is asked for one by one, at most
    `concurrency` at a time.
    """
    answers = await _by_vendor(run, prompt, items) or [None] * len(items)
    slots = asyncio.Semaphore(concurrency)

    async def one(answer: Answer[T] | None, variables: Mapping[str, object]) -> Outcome[T]:
        if answer is not None:
            return answer
        async with slots:
            try:
                return await prompt(**variables)
            except PodiumError as error:
                return error

    return list(
        await asyncio.gather(*(one(answer, each) for answer, each in zip(answers, items, strict=True)))
    )


async def _by_vendor(
    run: CurrentRun, prompt: Prompt[T], items: Sequence[Mapping[str, object]]
) -> list[Answer[T] | None] | None:
    mark = fingerprint({"items": list(items)}, f"a variable of prompt {prompt.name!r}")
    submission = Submission(prompt, items)

    async def ask(target: Submission | Collection, codec: Codec) -> Any:
        request = Execute(target, {}, _ASKING)
        return await run.perform(Intent(OperationKind.MODEL, target.name, mark, request, codec))

    # On disk before anything is waited for: after a restart the same batch is looked for, not another one made.
    ticket = await ask(submission, _TICKET)
    if ticket is None:
        return None
    pause, failures = _FIRST_LOOK, 0
    while True:
        wait = WaitUntil(run.now() + pause, run.now())
        await run.perform(Intent(OperationKind.TIMER, f"{prompt.name}.wait", "", wait, _TIMER))
        try:
            found: list[Answer[T] | None] | None = await ask(
                Collection(submission, ticket), _Answers(prompt.codec)
            )
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
