"""Reserving before a call and settling after it, over all the budgets that bound a spender."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from podium.domain.budgets import Breach, Budget, Charge, Spender, Unit
from podium.domain.errors import BudgetExceeded
from podium.gateway.budgets.account import Account
from podium.gateway.later import Later
from podium.ports.budgets import AccountKey, BudgetStore

_WRITE_AFTER: Final = 0.2


@dataclass(slots=True)
class Reservation:
    """What is set aside for one request. It must be settled, once; a second time does nothing."""

    charge: Charge
    accounts: Sequence[Account]
    _tell: Callable[[], None]
    _open: bool = field(default=True)

    def settle(self, actual: Charge | None) -> None:
        """Count what the request came to; None when nobody knows, which counts as all that was reserved."""
        if not self._open:
            return
        self._open = False
        for account in self.accounts:
            share = account.budget.share
            reserved = share(self.charge)
            account.settle(reserved, reserved if actual is None else share(actual))
        self._tell()


class Budgets:
    """The budgets of an installation, in one process. Used from one event loop.

    `budgets` bound every call; a run or prompt may bring its own. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        store: BudgetStore,
        budgets: Sequence[Budget] = (),
        *,
        clock: Callable[[], float] = time.time,
        write_after: float = _WRITE_AFTER,
    ) -> None:
        self._store = store
        self._budgets = tuple(budgets)
        self._clock = clock
        self._accounts: dict[AccountKey, Account] = {}
        self._asks: set[asyncio.Task[None]] = set()
        self._writing = Later(self._write, write_after, "spending was not written down")

    def key(self, spender: Spender, budget: Budget) -> AccountKey:
        """Return where spending of `budget` is added up for `spender` now."""
        return AccountKey(
            spender.tenant, budget.name, spender.subject(budget.scope) or "", budget.window(self._clock())
        )

    def applying(self, spender: Spender, own: Sequence[Budget] = ()) -> tuple[Budget, ...]:
        """Return the budgets that bound `spender`, `own` ones included.

        Of several with the same scope, unit, period and breach, the one that names the spender stands, else the
        smallest.
        """
        found: dict[str, Budget] = {}
        for budget in (*self._budgets, *own):
            subject = spender.subject(budget.scope)
            if subject is None or budget.of not in (None, subject):
                continue
            other = found.get(budget.name)
            if other is None or _rank(budget) < _rank(other):
                found[budget.name] = budget
        return tuple(found.values())

    async def reserve(
        self, spender: Spender, charge: Charge, budgets: Sequence[Budget], *, patience: float = 0.0
    ) -> Reservation:
        """Set `charge` aside in all of the `budgets`, or in none.

        When only what other calls have reserved is in the way, it waits up to `patience` seconds for these to cost
        less. Raises `BudgetExceeded` when there is no room, `StorageUnavailable` when nobody can say.
        """
        until = self._clock() + patience
        # By when the call begins: a request that ends in the next window is paid from this one.
        accounts = [self._account(spender, budget) for budget in budgets]
        while True:
            short = next((each for each in accounts if each.free < each.budget.share(charge)), None)
            if short is None:
                break
            await self._make_room(short, short.budget.share(charge), until)
        for account in accounts:
            account.reserve(account.budget.share(charge))
        return Reservation(charge, accounts, self._writing.soon)

    async def close(self) -> None:
        """Write down what is not yet on disk."""
        if self._asks:
            await asyncio.wait(self._asks)
        await self._writing.close()

    def _account(self, spender: Spender, budget: Budget) -> Account:
        key = self.key(spender, budget)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(key, budget)
        # The limit may be another one than that of the last call: the latest counts.
        account.budget = budget
        return account

    async def _make_room(self, account: Account, amount: int, until: float) -> None:
        """Return when more is held of an account, or something changed; raise when it cannot."""
        account.wanted += amount
        try:
            async with account.asking:
                if account.free >= amount:
                    return
                if not account.is_known_short(amount, asyncio.get_running_loop().time()):
                    await self._ask(account, amount)
                if account.free >= amount:
                    return
            left = until - self._clock()
            budget, spent = account.budget, account.standing.spent + account.settled
            # Where another model may be asked, nobody waits for this one; and no request comes to less than one.
            waits = account.reserved and budget.breach is Breach.FAIL and budget.unit is not Unit.REQUESTS
            if not waits or spent + amount > budget.limit or left <= 0:
                raise exceeded(account, amount)
            await asyncio.wait([account.changed()], timeout=left)
        finally:
            account.wanted -= amount
            # Whatever is held for those who waited, and not used, is given back.
            self._writing.soon()

    async def _ask(self, account: Account, amount: int) -> None:
        task = asyncio.create_task(self._fetch(account, amount))
        self._asks.add(task)
        task.add_done_callback(self._asks.discard)
        # Whoever gave up waiting may have been given something all the same: it must be known, to be given back.
        await asyncio.shield(task)

    async def _fetch(self, account: Account, amount: int) -> None:
        ask = account.ask_for(amount)
        written = account.written
        standing = await self._store.take(ask)
        account.take(standing, account.written - written)
        if not standing.given:
            account.found_short(ask, asyncio.get_running_loop().time())
        self._writing.soon()

    async def _write(self) -> None:
        settled = [each for account in self._accounts.values() if (each := account.write_off())]
        if settled:
            await self._store.settle(settled)
        for key in [key for key, account in self._accounts.items() if account.is_idle]:
            del self._accounts[key]


def exceeded(account: Account, amount: int) -> BudgetExceeded:
    """Return the error of a call that would take `amount` of an account that has not got it."""
    budget, key = account.budget, account.key
    spent = account.standing.spent + account.settled
    # What this process holds is either settled, which is counted, or reserved.
    under_way = max(account.standing.held - account.settled, account.reserved)
    resets_at = budget.window_end(key.window)
    if resets_at is None:
        when = "It does not begin anew."
    else:
        when = f"It begins anew at {datetime.fromtimestamp(resets_at, UTC):%Y-%m-%d %H:%M:%S} UTC."
    subject = f"{budget.scope.value} {key.subject!a}"
    held = f" and {budget.shown(under_way)} reserved" if under_way > 0 else ""
    return BudgetExceeded(
        f"The budget of {budget} for {subject} has no room for a call that may come to {budget.shown(amount)}: "
        f"{budget.shown(spent)} of {budget.shown(budget.limit)} spent{held}. {when} Raise the budget, lower "
        "max_tokens=, or name a cheaper model.",
        budget=str(budget),
        subject=subject,
        spent=spent,
        limit=budget.limit,
        resets_at=resets_at,
        cheaper=budget.breach is Breach.CHEAPER,
        name=budget.name,
    )


def _rank(budget: Budget) -> tuple[bool, int]:
    return budget.of is None, budget.limit
