"""Answers kept to be given again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What was asked, as a digest of all that an answer depends on, and whose it is: tenants share nothing."""

    tenant: str
    digest: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it is kept: `data` is its UTF-8 JSON, `prompt` the prompt's reference. Times are seconds since the
    epoch; after `expires_at` it is stale.
    """

    key: CacheKey
    prompt: str
    data: bytes
    stored_at: float
    expires_at: float


class CachedAnswers(Protocol):
    """Keeps answers. One that is lost costs a call and nothing else."""

    async def find(self, key: CacheKey, *, stale: bool) -> KeptAnswer | None:
        """Return the answer, if there is one that has not expired; with `stale`, one that has will do."""
        ...

    async def keep(self, answers: list[KeptAnswer]) -> None:
        """Store answers in place of earlier ones of the same keys, and let go of what is old."""
        ...


@dataclass(frozen=True, slots=True)
class KeptQuestion:
    """A question that an answer is kept for: its wording, and the vector that `embeddings` (a name) made of it.

    `scope` is a digest of all else that the answer depends on: only within it questions are compared. `key` is the
    answer's. Times are seconds since the epoch.
    """

    key: CacheKey
    scope: str
    text: str
    vector: bytes
    embeddings: str
    stored_at: float
    expires_at: float


class SimilarQuestions(Protocol):
    """Keeps questions beside their answers, as many in each scope as are compared; what is lost costs calls."""

    async def find(self, tenant: str, scope: str, embeddings: str, *, since: float) -> list[KeptQuestion]:
        """Return the questions of a scope that have not expired and were stored since then, the latest first."""
        ...

    async def keep(self, questions: list[KeptQuestion]) -> None:
        """Store questions in place of earlier ones of the same keys, and let go of what is old."""
        ...
