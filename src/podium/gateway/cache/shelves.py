"""The questions that a new one is compared with, in memory: what is on disk already is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from podium.domain.errors import StorageUnavailable

if TYPE_CHECKING:
    from podium.ports.cache import CacheKey, KeptQuestion, SimilarQuestions

# As long as it may take another process to write down what it was asked.
_LATE: Final = 60.0

_Place = tuple[str, str, str]
_Shelf = dict["CacheKey", "KeptQuestion"]


class Shelves:
    """The latest questions of the scopes that were asked for last: up to `most` of each of `scopes`."""

    def __init__(
        self, store: SimilarQuestions, *, clock: Callable[[], float], most: int, scopes: int = 32
    ) -> None:
        self._store = store
        self._clock = clock
        self._most = most
        self._scopes = scopes
        self._shelves: dict[_Place, _Shelf] = {}

    async def questions(self, tenant: str, scope: str, embeddings: str) -> list[KeptQuestion]:
        """Return the questions of a scope that have not expired, with what other processes have added."""
        place = (tenant, scope, embeddings)
        known = self._shelves.get(place)
        since = max((each.stored_at for each in known.values()), default=0.0) - _LATE if known else 0.0
        try:
            found = await self._store.find(tenant, scope, embeddings, since=since)
        except StorageUnavailable:
            found = []
        self._put(place, found)
        return list(self._shelves.get(place, {}).values())

    def add(self, question: KeptQuestion) -> None:
        """Put a question that was just asked on its shelf."""
        self._put((question.key.tenant, question.scope, question.embeddings), [question])

    def _put(self, place: _Place, questions: Iterable[KeptQuestion]) -> None:
        # Those used last stand last.
        shelf = self._shelves.pop(place, {})
        shelf.update((each.key, each) for each in questions)
        now = self._clock()
        fresh = [each for each in shelf.values() if each.expires_at > now]
        if len(fresh) > self._most:
            fresh = sorted(fresh, key=lambda each: each.stored_at)[-self._most :]
        self._shelves[place] = {each.key: each for each in fresh}
        while len(self._shelves) > self._scopes:
            del self._shelves[next(iter(self._shelves))]
