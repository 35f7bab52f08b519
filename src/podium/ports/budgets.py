"""Budgets on disk: what has been spent of each, and what processes hold of it for the calls they are making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from podium.domain.budgets import Budget, Unit


@dataclass(frozen=True, slots=True)
class AccountKey:
    """One window of one budget of one subject: where spending is added up. `budget` is `Budget.name`."""

    tenant: str
    budget: str
    subject: str
    window: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish to hold more of an account: at least `least`, if possible `most`, in the budget's unit."""

    key: AccountKey
    budget: Budget
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands: settled spending, what all processes hold beside it, and what was `given` now."""

    spent: int
    held: int
    given: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a hold: `spent` was used up and `returned` was not. A negative `returned` holds more."""

    key: AccountKey
    budget: Budget
    spent: int
    returned: int


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """One account for people. `at` is when it changed last and `resets_at` when its window ends, in seconds since the
    epoch. Amounts are in `unit`, money in nano-dollars.
    """

    key: AccountKey
    scope: str
    title: str
    unit: Unit
    limit: int
    spent: int
    held: int
    resets_at: float | None
    at: float


class BudgetStore(Protocol):
    """Adds up spending, atomically over all processes that share a database."""

    async def take(self, ask: Ask) -> Standing:
        """Hold more of an account, durably, if what was spent and is held leaves room; `given` 0 if not."""
        ...

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Turn holds of this process into spending, durably."""
        ...
