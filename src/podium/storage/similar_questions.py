"""Questions kept beside their answers: the repository, and the port that the gateway needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, select

from podium.ports.cache import CacheKey, KeptQuestion
from podium.storage.tables import cached_answers, similar_questions
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.ports.storage import Storage

# Let go of at once, so that no transaction takes long.
_SOME: Final = 500
# A question is written down at about the time of its answer, not at the same.
_ABOUT: Final = 60.0


class StoredQuestions:
    """The port `SimilarQuestions` on a database; each scope keeps its latest `most` questions."""

    def __init__(self, storage: Storage, *, most: int, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._most = most
        self._clock = clock

    async def find(self, tenant: str, scope: str, embeddings: str, *, since: float) -> list[KeptQuestion]:
        """See `SimilarQuestions.find`."""
        looked_up = partial(
            find,
            tenant=tenant,
            scope=scope,
            embeddings=embeddings,
            times=(since, self._clock()),
            most=self._most,
        )
        return await self._storage.read(looked_up)

    async def keep(self, questions: list[KeptQuestion]) -> None:
        """See `SimilarQuestions.keep`."""
        await self._storage.write(partial(keep, questions=questions, now=self._clock(), most=self._most))


def find(
    conn: Connection, tenant: str, scope: str, embeddings: str, times: tuple[float, float], most: int
) -> list[KeptQuestion]:
    """Return the latest `most` questions of a scope, the latest first.

    `times` are since when they were stored and after when they expire.
    """
    columns = similar_questions.c
    since, now = times
    asked = (
        select(similar_questions)
        .where(columns.tenant == tenant, columns.scope == scope, columns.stored_at >= since)
        .where(columns.embeddings == embeddings, columns.expires_at > now)
        .order_by(columns.stored_at.desc())
        .limit(most)
    )
    return [
        KeptQuestion(
            CacheKey(tenant, row.key), scope, row.text, row.vector, embeddings, row.stored_at, row.expires_at
        )
        for row in conn.execute(asked)
    ]


def keep(conn: Connection, questions: Sequence[KeptQuestion], now: float, most: int) -> None:
    """Store questions; let go of those beyond `most` in their scopes, and of some that have no answer any more."""
    columns = similar_questions.c
    for each in questions:
        conn.execute(
            delete(similar_questions).where(columns.tenant == each.key.tenant, columns.key == each.key.digest)
        )
        row = {
            "tenant": each.key.tenant,
            "key": each.key.digest,
            "scope": each.scope,
            "text": storable(each.text),
            "vector": each.vector,
            "embeddings": each.embeddings,
            "stored_at": each.stored_at,
            "expires_at": each.expires_at,
        }
        conn.execute(insert(similar_questions), row)
    for tenant, scope in {(each.key.tenant, each.scope) for each in questions}:
        of_scope = (columns.tenant == tenant) & (columns.scope == scope)
        newest = select(columns.stored_at).where(of_scope).order_by(columns.stored_at.desc())
        bound = conn.scalar(newest.offset(most).limit(1))
        if bound is not None:
            conn.execute(delete(similar_questions).where(of_scope, columns.stored_at <= bound))
    # Of answers the oldest go first, and no question is older than its answer.
    oldest = conn.scalar(select(func.min(cached_answers.c.stored_at)))
    gone = columns.expires_at < now
    if oldest is not None:
        gone |= columns.stored_at < oldest - _ABOUT
    some = select(columns.tenant, columns.key).where(gone).limit(_SOME)
    for tenant, key in conn.execute(some).all():
        conn.execute(delete(similar_questions).where(columns.tenant == tenant, columns.key == key))


def count(conn: Connection) -> int:
    """Return how many questions are kept."""
    return conn.scalar(select(func.count()).select_from(similar_questions)) or 0
