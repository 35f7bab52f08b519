"""A gateway that gives answers again to similar questions, over scripted models and the real weights."""

from __future__ import annotations

from typing import Any

from podium import Prompt, Semantic, prompt
from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.gateway.cache.answers import AnswerCache
from podium.gateway.cache.similar import SimilarAnswers
from podium.ports.models import FinishReason, ModelReply
from podium.providers import Providers, Script
from podium.providers.embeddings import StaticEmbeddings
from podium.storage.similar_questions import StoredQuestions
from podium.storage.sqlite.database import SqliteStorage
from tests.gateway.support import Desk, models
from tests.gateway.test_cache import Wall, kept_on

ASKED = "How do I reset my password?"
LIKE = "How can I reset my password please?"
OTHER_WORD = "How do I recover my password?"
WEIGHTS = StaticEmbeddings()


def desk_on(storage: SqliteStorage, wall: Wall | None = None, most: int = 100, **scripts: Any) -> Desk:
    wall = wall or Wall()
    given = {name: lines if isinstance(lines, Script) else Script(lines) for name, lines in scripts.items()}
    desk = Desk(Providers({}, scripts=given))
    cache = AnswerCache(kept_on(storage, wall), clock=wall, write_after=0.001)
    questions = StoredQuestions(storage, most=most, clock=wall)
    desk.gateway._cache = cache
    desk.gateway._similar = SimilarAnswers(
        cache, questions, WEIGHTS, most=most, clock=wall, write_after=0.001
    )
    return desk


async def written(desk: Desk) -> None:
    assert desk.gateway._cache is not None
    assert desk.gateway._similar is not None
    await desk.gateway._cache.close()
    await desk.gateway._similar.close()


def helpdesk(**options: Any) -> Prompt[str]:
    template = options.pop("template", "Answer: {question}")
    semantic = options.pop("semantic", Semantic(threshold=0.8))
    return prompt("helpdesk", template, models=models("a"), cache="1d", semantic=semantic, **options)


def paid(text: str, cost: int = 7, model: str = "a") -> ModelReply:
    return ModelReply(text, FinishReason.STOP, Usage(10, 5), model, cost=Money(cost))
