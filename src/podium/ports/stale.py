"""Earlier answers, for the time when no model can answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from podium.domain.answers import AnyAnswer


@dataclass(frozen=True, slots=True)
class StaleAnswer:
    """An earlier answer to the same request; `age` in seconds."""

    answer: AnyAnswer
    age: float


@dataclass(frozen=True, slots=True)
class Question:
    """A request as a cache knows it.

    `prompt` is the prompt's `name@version`, `digest` that of all that is said to the model, with the form of the
    answer; both the same for the same request of any candidate.
    """

    prompt: str
    digest: str
    tenant: str


class StaleAnswers(Protocol):
    """Finds earlier answers, however old."""

    async def latest(self, question: Question) -> StaleAnswer | None:
        """Return the latest answer to the same request that was given to the same tenant, or None."""
        ...


class NoStaleAnswers:
    """Where no answers are kept."""

    async def latest(self, question: Question) -> StaleAnswer | None:
        """Return None."""
        del question
        return None
