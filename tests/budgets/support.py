"""What the tests of budgets share: budgets on a real database, with a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from podium.domain.budgets import Budget, Charge, Spender
from podium.gateway.budgets.budgets import Budgets
from podium.ports.budgets import BudgetUse
from podium.settings import StorageSettings
from podium.storage import budgets as repository
from podium.storage.budgets import StoredBudgets
from podium.storage.sqlite.database import SqliteStorage, open_sqlite

NOON = 1_700_049_600.0
"""2023-11-15 12:00 UTC."""

CENT = 10_000_000
ADA = Spender(tenant="ada", workflow="support", run="run-1", prompt="classify")


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def storage_on(path: Path) -> AsyncIterator[SqliteStorage]:
    storage = await open_sqlite(path, settings=StorageSettings(), own=True)
    try:
        yield storage
    finally:
        await storage.close()


def budgets_on(
    storage: SqliteStorage, *budgets: Budget, clock: Clock | None = None, holder: str = "here"
) -> Budgets:
    clock = clock or Clock()
    return Budgets(StoredBudgets(storage, holder, clock=clock), budgets, clock=clock, write_after=0.01)


async def spend(
    budgets: Budgets, cents: int, *, spender: Spender = ADA, actual: int | None = None, tokens: int = 0
) -> None:
    """Reserve so many cents, and settle them, or `actual`."""
    charge = Charge(cents * CENT, tokens)
    reservation = await budgets.reserve(spender, charge, budgets.applying(spender))
    reservation.settle(charge if actual is None else Charge(actual * CENT, tokens))


async def uses(storage: SqliteStorage, now: float = NOON) -> Sequence[BudgetUse]:
    return await storage.read(lambda conn: repository.list_budgets(conn, now))


async def use(storage: SqliteStorage, now: float = NOON) -> BudgetUse:
    (found,) = await uses(storage, now)
    return found
