"""What a batch keeps in its run's journal: its plan, and the answers of each portion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from podium.domain.answers import AnyAnswer
from podium.domain.operations import Codec


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What was decided about a batch before anything was asked.

    `key` names it among all plans, `at` is when it was made (seconds since the epoch), `model` the candidate whose vendor takes the batches.
    `answers` are those that were known already, by the places of their items. `portions` are the places of those that
    are asked together; items in neither are asked one by one.
    """

    key: str
    at: float
    model: str
    answers: Mapping[int, AnyAnswer]
    portions: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Plans:
    """Stores plans; `each` stores one answer."""

    each: Codec

    def encode(self, value: BatchPlan) -> bytes:
        """Return a plan as UTF-8 JSON."""
        head = to_json({"model": value.model, "at": value.at, "key": value.key, "portions": value.portions})
        answers = b",".join(
            b'"%d":%b' % (place, self.each.encode(answer)) for place, answer in value.answers.items()
        )
        return head[:-1] + b',"answers":{' + answers + b"}}"

    def decode(self, data: bytes) -> BatchPlan:
        """Return the plan that was stored."""
        stored: dict[str, Any] = from_json(data)
        answers = {int(place): self.each.decode(to_json(one)) for place, one in stored["answers"].items()}
        return BatchPlan(stored["key"], stored["at"], stored["model"], answers, stored["portions"])


@dataclass(frozen=True, slots=True)
class Answers:
    """Stores the answers of a batch, None for those that it did not give, or None while it is under way."""

    each: Codec

    def encode(self, value: Sequence[AnyAnswer | None] | None) -> bytes:
        """Return answers as UTF-8 JSON."""
        if value is None:
            return b"null"
        return b"[" + b",".join(b"null" if one is None else self.each.encode(one) for one in value) + b"]"

    def decode(self, data: bytes) -> list[AnyAnswer | None] | None:
        """Return the answers that were stored."""
        stored = from_json(data)
        if stored is None:
            return None
        return [None if one is None else self.each.decode(to_json(one)) for one in stored]
