"""The exact cache: a clean answer is given again, and calls that are the same at the same time become one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from podium.domain.answers import AnyAnswer, CallAttempt, Usage
from podium.domain.errors import NoAnswer, StorageUnavailable
from podium.domain.money import Money
from podium.domain.operations import Codec
from podium.domain.quality import Quality, Verdict
from podium.gateway.later import Later
from podium.ports.cache import CachedAnswers, CacheKey, KeptAnswer
from podium.ports.stale import StaleAnswer

CACHED: Final = "cached"
"""The outcome of a call that no model was asked for."""

_WRITE_AFTER: Final = 0.05


@dataclass(frozen=True, slots=True)
class Question:
    """A call as the cache sees it. `fresh_for` and `timeout` are seconds; `codec` stores the prompt's answers."""

    key: CacheKey
    prompt: str
    codec: Codec
    fresh_for: float
    timeout: float


class AnswerCache:
    """Answers of this process's calls. Used from one event loop; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        store: CachedAnswers,
        *,
        clock: Callable[[], float] = time.time,
        write_after: float = _WRITE_AFTER,
    ) -> None:
        self._store = store
        self._clock = clock
        self._asked: dict[CacheKey, asyncio.Future[AnyAnswer | None]] = {}
        self._unwritten: dict[CacheKey, KeptAnswer] = {}
        self._writing = Later(self._write, write_after, "answers were not kept for later")

    async def answer(
        self, question: Question, ask: Callable[[], Awaitable[AnyAnswer]]
    ) -> tuple[AnyAnswer, bool]:
        """Return the answer, and whether it was there already.

        While one call asks, the others of the same key wait for its answer; when that is none, or not clean, they
        ask themselves, one after the other. Raises what `ask` raises, and `NoAnswer` when the wait was too long.
        """
        until = time.monotonic() + question.timeout
        while True:
            # Nothing may come between this look and the one that waits being known to the others.
            other = self._asked.get(question.key)
            if other is None:
                return await self._first(question, ask)
            done, _ = await asyncio.wait([other], timeout=max(until - time.monotonic(), 0))
            if not done:
                raise NoAnswer(
                    f"Prompt {question.prompt} got no answer within its timeout of {question.timeout:g} s, in which it "
                    "waited for the same question asked by another call. Raise timeout=, or pass cache=0."
                )
            shared = other.result()
            if shared is not None:
                return _again(shared), True

    async def find(self, question: Question, *, stale: bool = False) -> AnyAnswer | None:
        """Return the answer that is kept, or None; a `stale` one is marked as degraded.

        One that cannot be read any more, because the output type has changed, counts as none.
        """
        now = self._clock()
        kept = self._unwritten.get(question.key)
        if kept is None:
            try:
                kept = await self._store.find(question.key, stale=stale)
            except StorageUnavailable:
                return None
        if kept is None or (kept.expires_at <= now and not stale):
            return None
        try:
            answer: AnyAnswer = question.codec.decode(kept.data)
        except ValueError:
            return None
        if kept.expires_at <= now:
            reason = f"no model could be asked: this answer is {now - kept.stored_at:.0f} s old"
            return replace(answer, quality=answer.quality.worsened(Verdict.DEGRADED, reason))
        return answer

    async def earlier(self, question: Question) -> StaleAnswer | None:
        """Return the answer that is kept, however old, with its age; None when there is none that can be read."""
        try:
            kept = self._unwritten.get(question.key) or await self._store.find(question.key, stale=True)
            return (
                None
                if kept is None
                else StaleAnswer(question.codec.decode(kept.data), self._clock() - kept.stored_at)
            )
        except (StorageUnavailable, ValueError):
            return None

    async def close(self) -> None:
        """Write down what is not yet on disk."""
        await self._writing.close()

    async def _first(
        self, question: Question, ask: Callable[[], Awaitable[AnyAnswer]]
    ) -> tuple[AnyAnswer, bool]:
        future: asyncio.Future[AnyAnswer | None] = asyncio.get_running_loop().create_future()
        self._asked[question.key] = future
        clean: AnyAnswer | None = None
        try:
            clean = await self.find(question)
            if clean is not None:
                return clean, True
            answer = await ask()
            if self.keep(question, answer):
                clean = answer
            return answer, False
        finally:
            del self._asked[question.key]
            future.set_result(clean)

    def keep(self, question: Question, answer: AnyAnswer) -> bool:
        """Keep an answer, if it is clean; return whether it is."""
        if answer.quality.verdict is not Verdict.CLEAN:
            return False
        now = self._clock()
        data = question.codec.encode(_again(answer))
        self._unwritten[question.key] = KeptAnswer(
            question.key, question.prompt, data, now, now + question.fresh_for
        )
        self._writing.soon()
        return True

    async def _write(self) -> None:
        writing = dict(self._unwritten)
        await self._store.keep(list(writing.values()))
        for key, kept in writing.items():
            if self._unwritten.get(key) is kept:
                del self._unwritten[key]


class Earlier:
    """The earlier answer to one question, fresh or stale, as the port `StaleAnswers`."""

    def __init__(self, cache: AnswerCache, question: Question) -> None:
        self._cache = cache
        self._question = question

    async def latest(self, question: object) -> StaleAnswer | None:
        """See `StaleAnswers.latest`; the question is the one that it was made for."""
        del question
        return await self._cache.earlier(self._question)


def _again(answer: AnyAnswer) -> AnyAnswer:
    return replace(answer, cost=Money(), usage=Usage(), attempts=())


def told(answer: AnyAnswer, latency: float) -> tuple[AnyAnswer, CallAttempt]:
    """Return an answer from the cache as a call's own, with the one attempt that says where it is from."""
    quality: Quality = answer.quality
    attempt = CallAttempt(
        model=answer.model,
        number=1,
        outcome=CACHED,
        message="; ".join(quality.reasons),
        latency=latency,
        confidence=answer.confidence,
    )
    given: Any = replace(_again(answer), attempts=(attempt,))
    return given, attempt
