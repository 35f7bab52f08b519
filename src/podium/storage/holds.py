"""Reservations that outlive their process: the repository, and the port that the gateway needs.

They stand among the holds of processes, under names of their own, and count against budgets like these.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import and_, delete, exists, func, insert, select, update

from podium.domain.budgets import Unit, unit_of
from podium.ports.budgets import AccountKey, Hold, Short, Standing
from podium.storage.budgets import declare
from podium.storage.tables import budget_holds, budget_windows
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Table

    from podium.domain.budgets import Charge
    from podium.ports.storage import Storage


class StoredHolds:
    """The port `HoldStore` on a database. `clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, *, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock

    async def hold(self, tenant: str, holder: str, holds: Sequence[Hold]) -> Short | None:
        """See `HoldStore.hold`."""
        change = partial(hold, tenant=tenant, holder=holder, holds=holds, now=self._clock())
        return await self._storage.write(change)

    async def held(self, tenant: str, holder: str) -> bool:
        """See `HoldStore.held`."""
        query = select(exists().where(_is_of(tenant, holder)))
        return await self._storage.read(lambda conn: bool(conn.scalar(query)))

    async def settle_hold(self, tenant: str, holder: str, charge: Charge | None) -> None:
        """See `HoldStore.settle_hold`."""
        await self._storage.write(
            partial(settle, tenant=tenant, holder=holder, charge=charge, now=self._clock())
        )


def hold(conn: Connection, tenant: str, holder: str, holds: Sequence[Hold], now: float) -> Short | None:
    """Set aside all of `holds` in place of what `holder` held, or nothing; see `HoldStore.hold`."""
    totals: Counter[AccountKey] = Counter()
    for each in holds:
        totals[each.key] += each.amount
    for key, amount in totals.items():
        budget = next(each.budget for each in holds if each.key == key)
        declare(conn, key, budget, now)
        spent = conn.scalar(select(budget_windows.c.spent).where(_is_at(budget_windows, key))) or 0
        is_others = ~budget_holds.c.holder.startswith(holder, autoescape=True)
        query = select(func.coalesce(func.sum(budget_holds.c.amount), 0))
        held = conn.scalar(query.where(_is_at(budget_holds, key), is_others)) or 0
        if spent + held + amount > budget.limit:
            return Short(key, budget, amount, Standing(spent, held))
    conn.execute(delete(budget_holds).where(_is_of(tenant, holder)))
    for each in holds:
        conn.execute(insert(budget_holds), {**_row(each.key), "holder": each.holder, "amount": each.amount})
    return None


def settle(conn: Connection, tenant: str, holder: str, charge: Charge | None, now: float) -> None:
    """Turn what `holder` holds into spending; see `HoldStore.settle_hold`."""
    query = select(budget_holds)
    for row in conn.execute(query.where(_is_of(tenant, holder))).all():
        spent: int = row.amount
        if charge is not None:
            spent = _share(row, charge)
        key = AccountKey(row.tenant, row.budget, row.subject, row.window)
        more = {"spent": budget_windows.c.spent + spent, "at": now}
        conn.execute(update(budget_windows).where(_is_at(budget_windows, key)).values(more))
    conn.execute(delete(budget_holds).where(_is_of(tenant, holder)))


def _share(row: Row[Any], charge: Charge) -> int:
    match unit_of(row.budget):
        case Unit.MONEY:
            return charge.nanos
        case Unit.TOKENS:
            return charge.tokens
        case Unit.REQUESTS:
            # Every request of a batch that was taken has been made, whatever came of it.
            return row.amount if charge.requests else 0
        case unit:
            assert_never(unit)


def _is_of(tenant: str, holder: str) -> ColumnElement[bool]:
    return and_(budget_holds.c.tenant == tenant, budget_holds.c.holder.startswith(holder, autoescape=True))


def _is_at(table: Table, key: AccountKey) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in _row(key).items()))


def _row(key: AccountKey) -> dict[str, str | int]:
    return {
        "tenant": key.tenant,
        "budget": key.budget,
        "subject": storable(key.subject),
        "window": key.window,
    }
