"""What may still be used within a limit: taken before the work, settled after it, by all processes together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit of `limit` units within each period of `per` seconds of the clock, shared by all who name it alike."""

    name: str
    limit: int
    per: float
    tenant: str


@dataclass(frozen=True, slots=True)
class Taken:
    """`amount` units that were taken of an allowance, in the period of this number."""

    allowance: Allowance
    period: int
    amount: int


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The allowance does not hold what was asked for; `retry_after` seconds until its next period begins."""

    allowance: Allowance
    retry_after: float


class Allowances(Protocol):
    """Takes from allowances so that no more than their limit is ever taken, however many ask at once."""

    async def take(self, allowance: Allowance, amount: int) -> Taken | Exhausted:
        """Take `amount` units, or nothing."""
        ...

    def settle(self, taken: Taken, used: int) -> None:
        """Say how much of what was taken has been used; the rest may be taken by others, an excess is deducted."""
        ...
