"""Answers kept to be given again: the repository, and the port that the gateway needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, select

from podium.ports.cache import CacheKey, KeptAnswer
from podium.storage import blobs
from podium.storage.tables import cached_answers
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.ports.storage import Storage

# Let go of at once, so that no transaction takes long.
_SOME: Final = 500


class StoredAnswers:
    """The port `CachedAnswers` on a database.

    Stale answers stay for `stale_for` seconds after they expired; all together take up to `most` bytes, and those that
    were stored first go first. Answers longer than `blob_threshold` bytes are kept apart.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        stale_for: float,
        most: int,
        blob_threshold: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._stale_for = stale_for
        self._most = most
        self._threshold = blob_threshold
        self._clock = clock

    async def find(self, key: CacheKey, *, stale: bool) -> KeptAnswer | None:
        """See `CachedAnswers.find`."""
        found = await self._storage.read(partial(find, key=key))
        return found if found is not None and (stale or found.expires_at > self._clock()) else None

    async def keep(self, answers: list[KeptAnswer]) -> None:
        """See `CachedAnswers.keep`."""
        before = self._clock() - self._stale_for
        change = partial(keep, answers=answers, before=before, most=self._most, threshold=self._threshold)
        await self._storage.write(change)


def find(conn: Connection, key: CacheKey) -> KeptAnswer | None:
    """Return the answer of a key, expired or not."""
    is_it = (cached_answers.c.tenant == key.tenant) & (cached_answers.c.key == key.digest)
    row = conn.execute(select(cached_answers).where(is_it)).first()
    if row is None:
        return None
    data = row.answer
    if data is None:
        kept = blobs.contents(conn, [(key.tenant, row.answer_digest)])
        data = kept.value(key.tenant, row.answer_digest, f"an answer of prompt {row.prompt!a}")
    return KeptAnswer(key, row.prompt, data, row.stored_at, row.expires_at)


def keep(conn: Connection, answers: Sequence[KeptAnswer], before: float, most: int, threshold: int) -> None:
    """Store answers; let go of some that expired before a time, and of the oldest beyond `most` bytes."""
    for each in answers:
        is_it = (cached_answers.c.tenant == each.key.tenant) & (cached_answers.c.key == each.key.digest)
        conn.execute(delete(cached_answers).where(is_it))
        data, digest = blobs.split(conn, each.key.tenant, each.data, threshold)
        row = {
            "tenant": each.key.tenant,
            "key": each.key.digest,
            "prompt": storable(each.prompt),
            "answer": data,
            "answer_digest": digest,
            "size": len(each.data),
            "stored_at": each.stored_at,
            "expires_at": each.expires_at,
        }
        conn.execute(insert(cached_answers), row)
    _remove(conn, select(cached_answers.c.key).where(cached_answers.c.expires_at < before).limit(_SOME))
    total = conn.scalar(select(func.coalesce(func.sum(cached_answers.c.size), 0))) or 0
    while total > most:
        oldest = select(cached_answers.c.key, cached_answers.c.size)
        rows = conn.execute(oldest.order_by(cached_answers.c.stored_at).limit(_SOME)).all()
        gone = []
        for key, size in rows:
            if total <= most:
                break
            gone.append(key)
            total -= size
        conn.execute(delete(cached_answers).where(cached_answers.c.key.in_(gone)))


def count(conn: Connection) -> int:
    """Return how many answers are kept."""
    return conn.scalar(select(func.count()).select_from(cached_answers)) or 0


def _remove(conn: Connection, keys: object) -> None:
    conn.execute(delete(cached_answers).where(cached_answers.c.key.in_(keys)))  # type: ignore[arg-type]
