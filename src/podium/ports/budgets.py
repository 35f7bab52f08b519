"""Budgets on disk: what has been spent of each, and what processes hold of it for the calls they are making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from podium.domain.budgets import Budget, Charge, Unit


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


@dataclass(frozen=True, slots=True)
class Hold:
    """What is set aside of an account under a name of its own, `holder`, however many processes come and go."""

    key: AccountKey
    budget: Budget
    holder: str
    amount: int


@dataclass(frozen=True, slots=True)
class Short:
    """An account that has no room for `amount`, and how it stands."""

    key: AccountKey
    budget: Budget
    amount: int
    standing: Standing


class HoldStore(Protocol):
    """Reservations that outlive the process that made them. Each is settled once, whoever settles it.

    A `holder` stands for all whose names begin with it.
    """

    async def hold(self, tenant: str, holder: str, holds: Sequence[Hold]) -> Short | None:
        """Set all of `holds` aside in place of whatever `holder` held, durably; or change nothing, and say why."""
        ...

    async def held(self, tenant: str, holder: str) -> bool:
        """Return whether `holder` holds anything."""
        ...

    async def settle_hold(self, tenant: str, holder: str, charge: Charge | None) -> None:
        """Count `charge` in place of what `holder` held; None counts all of it. Done before, it does nothing."""
        ...
