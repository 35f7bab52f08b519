"""Budgets: the repository, and the port that the gateway needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from podium.domain.budgets import Unit, unit_of
from podium.ports.budgets import AccountKey, Ask, BudgetUse, Settled, Standing
from podium.storage.present import insert_unless_present
from podium.storage.tables import budget_holds, budget_windows
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

    from podium.domain.budgets import Budget
    from podium.ports.storage import Storage

_KEY = ("tenant", "budget", "subject", "window")


def _is_it(table: Table) -> ColumnElement[bool]:
    return and_(*(table.c[name] == bindparam(f"the_{name}") for name in _KEY))


_IS_MINE = and_(_is_it(budget_holds), budget_holds.c.holder == bindparam("the_holder"))
_SPENT = select(budget_windows.c.spent).where(_is_it(budget_windows))
_HELD = select(func.coalesce(func.sum(budget_holds.c.amount), 0)).where(_is_it(budget_holds))
_SPEND = (
    update(budget_windows)
    .where(_is_it(budget_windows))
    .values(spent=budget_windows.c.spent + bindparam("more"), at=bindparam("now"))
)
_DECLARE = (
    update(budget_windows)
    .where(_is_it(budget_windows))
    .values(title=bindparam("new_title"), amount=bindparam("new_amount"))
)
_HOLD = update(budget_holds).where(_IS_MINE).values(amount=budget_holds.c.amount + bindparam("more"))
_DROP = delete(budget_holds).where(_IS_MINE, budget_holds.c.amount <= 0)


class StoredBudgets:
    """The port `BudgetStore` on a database. `holder` names this process among all that hold something."""

    def __init__(self, storage: Storage, holder: str, *, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._holder = holder
        self._clock = clock

    async def take(self, ask: Ask) -> Standing:
        """See `BudgetStore.take`."""
        return await self._storage.write(partial(take, holder=self._holder, ask=ask, now=self._clock()))

    async def settle(self, settled: Sequence[Settled]) -> None:
        """See `BudgetStore.settle`."""
        await self._storage.write(partial(settle, holder=self._holder, settled=settled, now=self._clock()))


def take(conn: Connection, ask: Ask, holder: str, now: float) -> Standing:
    """Hold more of an account; see `BudgetStore.take`."""
    place = _place(ask.key)
    declare(conn, ask.key, ask.budget, now)
    spent, held = conn.scalar(_SPENT, place) or 0, conn.scalar(_HELD, place) or 0
    room = ask.budget.limit - spent - held
    given = min(room, ask.most) if room >= ask.least else 0
    if given > 0:
        _hold(conn, ask.key, holder, given)
    return Standing(spent, held, max(given, 0))


def settle(conn: Connection, settled: Sequence[Settled], holder: str, now: float) -> None:
    """Turn holds into spending; see `BudgetStore.settle`."""
    for each in settled:
        declare(conn, each.key, each.budget, now)
        conn.execute(_SPEND, {**_place(each.key), "more": each.spent, "now": now})
        _hold(conn, each.key, holder, -each.spent - each.returned)
        conn.execute(_DROP, {**_place(each.key), "the_holder": holder})


def list_budgets(conn: Connection, now: float, *, tenant: str | None = None) -> Sequence[BudgetUse]:
    """Return the accounts whose window has not ended, of one tenant or of all, in order of their names."""
    held = (
        select(func.coalesce(func.sum(budget_holds.c.amount), 0))
        .where(*(budget_holds.c[name] == budget_windows.c[name] for name in _KEY))
        .scalar_subquery()
    )
    ends_at = budget_windows.c.ends_at
    query = select(budget_windows, held.label("held")).where(ends_at.is_(None) | (ends_at > now))
    if tenant is not None:
        query = query.where(budget_windows.c.tenant == tenant)
    rows = conn.execute(query.order_by(*(budget_windows.c[name] for name in _KEY)))
    return [_use(row) for row in rows]


def declare(conn: Connection, key: AccountKey, budget: Budget, now: float) -> None:
    """Note a window of a budget, as the budget is declared now."""
    row = {
        "tenant": key.tenant,
        "budget": key.budget,
        "subject": storable(key.subject),
        "window": key.window,
        "scope": budget.scope.value,
        "title": str(budget),
        "is_money": budget.unit is Unit.MONEY,
        "amount": budget.limit,
        "spent": 0,
        "ends_at": budget.window_end(key.window),
        "at": now,
    }
    if not insert_unless_present(conn, budget_windows, row):
        conn.execute(_DECLARE, {**_place(key), "new_title": row["title"], "new_amount": row["amount"]})


def _hold(conn: Connection, key: AccountKey, holder: str, more: int) -> None:
    place = {**_place(key), "the_holder": holder, "more": more}
    if conn.execute(_HOLD, place).rowcount == 0:
        row = {name: place[f"the_{name}"] for name in (*_KEY, "holder")}
        conn.execute(insert(budget_holds), {**row, "amount": more})


def _place(key: AccountKey) -> dict[str, Any]:
    return {
        "the_tenant": key.tenant,
        "the_budget": key.budget,
        "the_subject": storable(key.subject),
        "the_window": key.window,
    }


def _use(row: Any) -> BudgetUse:
    return BudgetUse(
        key=AccountKey(row.tenant, row.budget, row.subject, row.window),
        scope=row.scope,
        title=row.title,
        unit=unit_of(row.budget),
        limit=row.amount,
        spent=row.spent,
        held=row.held,
        resets_at=row.ends_at,
        at=row.at,
    )
