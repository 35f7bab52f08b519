"""What one round of keeping a database in order came to."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Round:
    """Runs archived and deleted, journal entries folded, long values removed, rows of the request log deleted.

    `forgotten` counts windows of budgets that have ended and keys of events emitted long ago.
    """

    archived: int = 0
    entries: int = 0
    deleted: int = 0
    values: int = 0
    requests: int = 0
    forgotten: int = 0

    def __add__(self, other: Round) -> Round:
        return Round(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))
