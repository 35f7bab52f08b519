"""Chunks: what a run publishes while it works, for whoever streams it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from podium.domain.ids import RunId


@dataclass(frozen=True, slots=True)
class Chunk:
    """One published value of a run.

    `position` grows along the run's stream: reading goes on after it. `key` is the journal key of the operation
    that published it, `attempt` counts from 1, `offset` from 0 within the attempt. `superseded` marks that all
    earlier chunks of this `key` no longer count, because the operation begins again; such a chunk has no value.
    `payload` is UTF-8 JSON, `at` seconds since the epoch.
    """

    run: RunId
    position: int
    key: str
    attempt: int
    offset: int
    superseded: bool
    payload: bytes
    at: float

    @property
    def value(self) -> Any:
        """What was published, as plain JSON types."""
        return orjson.loads(self.payload)
