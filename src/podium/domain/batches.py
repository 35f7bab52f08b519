"""What is known of a batch that a vendor has taken."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.ids import digest


@dataclass(frozen=True, slots=True)
class BatchTicket:
    """A batch at a vendor: its id there, whose model it asks, with which credential, and since when.

    `place` and `credential` are those of the route that handed it in, `count` is its number of requests, `since` is
    seconds since the epoch.
    """

    batch: str
    model: str
    place: str
    credential: str
    count: int
    since: float


def batch_mark(run: str, plan: str, number: int) -> str:
    """Return the name of one portion of a batch: 32 characters, the same every time, before and after a crash.

    `plan` is the key of the plan that the portion is part of, `number` counts its portions from 0.
    """
    return digest("batch", run, plan, str(number))
