"""The semantic cache: an answer is given to another question than its own, if that is alike, guarded and verified."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from podium.domain.answers import SIMILAR, AnyAnswer, CallAttempt
from podium.domain.errors import InvalidInput
from podium.domain.ids import digest
from podium.domain.quality import Verdict
from podium.gateway.cache.guard import difference
from podium.gateway.cache.key import cache_key
from podium.gateway.cache.semantic import Likeness, Semantic
from podium.gateway.cache.shelves import Shelves
from podium.gateway.cache.verifying import AskPrompt, Verifier
from podium.gateway.conversation import opening
from podium.gateway.later import Later
from podium.gateway.wording import one_line, well_formed
from podium.ports.cache import CacheKey, KeptQuestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.gateway.cache.answers import AnswerCache, Question
    from podium.gateway.call import Call
    from podium.gateway.ledger import Ledger
    from podium.gateway.prompt import Prompt
    from podium.ports.cache import SimilarQuestions
    from podium.ports.embeddings import Embeddings

_log = logging.getLogger(__name__)

_WRITE_AFTER: Final = 0.05
# The guard takes a fraction of a millisecond for each.
_LOOKED_AT: Final = 10
# The longer a text, the less its vector says of any one word in it.
_LONGEST: Final = 2000
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Wording:
    """A question whose wording may differ from an earlier one's: `text` within `scope`, a digest of all else.

    `question` is what the exact cache calls it, `ledger` that of the call that asks it.
    """

    text: str
    scope: str
    question: Question
    semantic: Semantic
    ledger: Ledger


def wording(
    prompt: Prompt[Any], call: Call, question: Question, arguments: Mapping[str, object]
) -> Wording | None:
    """Return the question's wording; None when the prompt gives no answers again to similar questions, or not to this."""
    semantic = prompt.semantic
    if semantic is None or semantic.of is None:
        return None
    text = arguments.get(semantic.of)
    if not isinstance(text, str) or len(text) > _LONGEST or not text.strip():
        return None
    if (call.policy.temperature and not semantic.sampled) or call.asked.media or call.asked.tools:
        return None
    said = opening(prompt, {**arguments, semantic.of: ""})
    rest = cache_key(prompt, call.policy, said, call.tenant)
    return Wording(well_formed(text), digest(rest.digest, semantic.of), question, semantic, call.ledger)


class SimilarAnswers:
    """Answers of `cache` for questions like theirs. Used from one event loop.

    A question is compared with the latest `most`. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        cache: AnswerCache,
        store: SimilarQuestions,
        embeddings: Embeddings,
        *,
        most: int = 2_000,
        clock: Callable[[], float] = time.time,
        write_after: float = _WRITE_AFTER,
    ) -> None:
        self._cache = cache
        self._store = store
        self._shelves = Shelves(store, clock=clock, most=most)
        self._embeddings = embeddings
        self._clock = clock
        self._verifier = Verifier()
        self._unwritten: dict[CacheKey, KeptQuestion] = {}
        self._writing = Later(self._write, write_after, "questions were not kept for similar ones")
        self._warned = False

    async def answer(
        self, asked: Wording, ask_prompt: AskPrompt, seconds: float, ask: Callable[[], Awaitable[AnyAnswer]]
    ) -> AnyAnswer:
        """Return the answer to a similar question, marked as such, or else what `ask` returns, kept if it is clean.

        Whoever verifies has `seconds`. Raises what `ask` raises.
        """
        vector = await self._vector(asked.text)
        if vector is None:
            return await ask()
        found = await self._found(asked, vector, ask_prompt, seconds)
        if found is not None:
            return found
        answer = await ask()
        if answer.quality.verdict is Verdict.CLEAN:
            self._keep(asked, vector)
        return answer

    async def close(self) -> None:
        """Write down what is not yet on disk."""
        await self._writing.close()

    async def _vector(self, text: str) -> bytes | None:
        try:
            return await self._embeddings.embed(text)
        except InvalidInput as missing:
            if not self._warned:
                self._warned = True
                _log.warning("%s; until then models are asked", missing)
            return None

    async def _found(
        self, asked: Wording, vector: bytes, ask_prompt: AskPrompt, seconds: float
    ) -> AnyAnswer | None:
        began = time.monotonic()
        kept = await self._shelves.questions(asked.question.key.tenant, asked.scope, self._embeddings.name)
        semantic = asked.semantic
        near = self._embeddings.nearest(vector, [each.vector for each in kept], semantic.threshold)
        for each in near[:_LOOKED_AT]:
            earlier = kept[each.index]
            differs = difference(asked.text, earlier.text)
            if differs is not None and (differs.exact or semantic.verify is None):
                continue
            answer = await self._cache.find(replace(asked.question, key=earlier.key))
            if answer is None:
                continue
            pair = Likeness(asked.text, earlier.text, answer.value, each.similarity)
            if not await self._verifier.agrees(semantic, pair, ask_prompt, seconds):
                # One no is enough: the others are less alike, and asking costs.
                return None
            return self._told(
                asked, answer, pair, self._clock() - earlier.stored_at, time.monotonic() - began
            )
        return None

    def _told(
        self, asked: Wording, answer: AnyAnswer, pair: Likeness, age: float, latency: float
    ) -> AnyAnswer:
        ledger = asked.ledger
        alike = f"{pair.similarity:.3f} alike, {max(age, 0):.0f} s ago"
        ledger.take(
            CallAttempt(
                model=answer.model,
                number=1,
                outcome=SIMILAR,
                message=f"{alike}: {one_line(pair.earlier, _SHOWN)}",
                latency=latency,
                confidence=answer.confidence,
            )
        )
        reason = f"this is the answer to a similar question ({alike})"
        return replace(
            answer,
            quality=answer.quality.worsened(Verdict.DEGRADED, reason),
            cost=ledger.cost,
            usage=ledger.usage,
            attempts=ledger.attempts,
        )

    def _keep(self, asked: Wording, vector: bytes) -> None:
        now, question = self._clock(), asked.question
        kept = KeptQuestion(
            question.key,
            asked.scope,
            asked.text,
            vector,
            self._embeddings.name,
            now,
            now + question.fresh_for,
        )
        self._unwritten[question.key] = kept
        self._shelves.add(kept)
        self._writing.soon()

    async def _write(self) -> None:
        writing = dict(self._unwritten)
        await self._store.keep(list(writing.values()))
        for key, kept in writing.items():
            if self._unwritten.get(key) is kept:
                del self._unwritten[key]
