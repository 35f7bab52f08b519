"""Admission: whether a request may be answered now, and what that sets aside of every budget that bounds it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from podium.app.prices import Price
from podium.domain.answers import Usage
from podium.domain.budgets import Budget, Charge, Scope, Spender, Unit, Unpriced
from podium.domain.errors import BudgetExceeded
from podium.domain.keys import MINUTE, ApiKey
from podium.domain.money import Money
from podium.gateway.budgets.budgets import Budgets, Reservation

_SOON = 1.0
_Worker = tuple[str, str]


class Limit(StrEnum):
    """What a request was refused for."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENCY = "concurrency"
    BUDGET = "budget"
    RESERVED = "reserved"
    SIZE = "size"
    UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that a limit does not allow; `message` says which, `retry_after` seconds when it may again."""

    limit: Limit
    message: str
    retry_after: float | None = None


@dataclass(slots=True)
class Admitted:
    """A request that may go ahead, to those of its `models` that it can pay. To be settled once, whatever comes of it.

    `in_money`: some budget needs to know what it has cost. `bounded`: in money or tokens, so it must keep to its most.
    """

    models: Sequence[str]
    in_money: bool = False
    bounded: bool = False
    reservation: Reservation | None = None
    at_work: Counter[_Worker] = field(default_factory=Counter)
    worker: _Worker | None = None

    def settle(self, usage: Usage | None, cost: Money | None) -> None:
        """Say what was used. What is not known, None, counts as all that was set aside for it."""
        if self.worker is not None:
            self.at_work[self.worker] -= 1
            self.worker = None
        if self.reservation is not None:
            most = self.reservation.charge
            nanos = most.nanos if cost is None else cost.nanos
            tokens = most.tokens if usage is None else usage.input_tokens + usage.output_tokens
            self.reservation.settle(Charge(nanos, tokens, 1))


class Admission:
    """Admits requests. `price` says what the most that a request may use would cost.

    `patience`: how many seconds a request waits when only what others have set aside is in its way. `unpriced`: whether
    budgets of money refuse a model whose price nobody knows, or let it pass for nothing.
    """

    def __init__(
        self, budgets: Budgets, price: Price, *, patience: float, unpriced: Unpriced = "refuse"
    ) -> None:
        self._budgets = budgets
        self._price = price
        self._patience = patience
        self._unpriced = unpriced
        self._at_work: Counter[_Worker] = Counter()

    async def admit(self, key: ApiKey | None, models: Sequence[str], most: Usage) -> Admitted | Refused:
        """Set aside what a request to any of `models` may use at `most`, in every budget of its key and its tenant.

        Raises `StorageUnavailable` when nobody can say how the budgets stand.
        """
        if key is None:
            return await self._reserved(Spender(), (), models, most)
        worker, limit = (key.tenant, key.name), key.limits.concurrency
        busy = self._at_work[worker]
        if limit is not None and busy >= limit:
            return Refused(Limit.CONCURRENCY, f"{busy} requests of this key are at work", _SOON)
        self._at_work[worker] += 1
        admitted: Admitted | Refused | None = None
        try:
            admitted = await self._reserved(Spender(key.tenant, key=key.name), key.budgets, models, most)
        finally:
            if isinstance(admitted, Admitted):
                admitted.at_work, admitted.worker = self._at_work, worker
            else:
                self._at_work[worker] -= 1
        return admitted

    async def _reserved(
        self, spender: Spender, own: Sequence[Budget], models: Sequence[str], most: Usage
    ) -> Admitted | Refused:
        budgets = self._budgets.applying(spender, own)
        if not budgets:
            return Admitted(models)
        in_money = any(budget.unit is Unit.MONEY for budget in budgets)
        costs = {model: self._price(model, most) if in_money else Money() for model in models}
        unknown = next((model for model, cost in costs.items() if cost is None), None)
        if unknown is not None and self._unpriced == "refuse":
            return Refused(
                Limit.UNPRICED, f"no price is known for {unknown}, so no budget in money can be kept"
            )
        known = {model: cost or Money() for model, cost in costs.items()}
        tokens = most.input_tokens + most.output_tokens
        while True:
            dearest = max(known, key=known.__getitem__)
            charge = Charge(known[dearest].nanos, tokens, 1)
            try:
                reservation = await self._budgets.reserve(spender, charge, budgets, patience=self._patience)
            except BudgetExceeded as error:
                if not error.cheaper or len(known) == 1:
                    budget = next(each for each in budgets if each.name == error.name)
                    return _refused(error, budget, charge)
                del known[dearest]
                continue
            bounded = any(budget.unit is not Unit.REQUESTS for budget in budgets)
            left = [model for model in models if model in known]
            return Admitted(left, in_money, bounded, reservation)


def _refused(error: BudgetExceeded, budget: Budget, charge: Charge) -> Refused:
    whose = "this key" if budget.scope is Scope.KEY else f"the {error.subject}"
    said = f"{whose} has a limit of {budget}, which this request would exceed"
    if budget.share(charge) > error.limit:
        # Neither waiting nor another day would help.
        return Refused(
            Limit.SIZE,
            f"{whose} has a limit of {budget}, and this request alone may come to "
            f"{budget.shown(budget.share(charge))}: lower max_tokens, or send less",
        )
    is_room = error.spent + budget.share(charge) <= error.limit
    if is_room and budget.unit is not Unit.REQUESTS:
        return Refused(
            Limit.RESERVED, f"{said} if all others that are on their way take what they may", _SOON
        )
    if budget.unit is not Unit.REQUESTS:
        said += f" ({budget.shown(error.spent)} of {budget.shown(error.limit)} are used)"
    if error.resets_at is None:
        return Refused(Limit.BUDGET, f"{said}; it does not begin anew")
    at = datetime.fromtimestamp(error.resets_at, UTC)
    limit = Limit.BUDGET
    if budget.unit is Unit.REQUESTS:
        limit = Limit.REQUESTS
    elif budget.unit is Unit.TOKENS and budget.period == MINUTE:
        limit = Limit.TOKENS
    wait = max(error.resets_at - time.time(), 0.0)
    return Refused(limit, f"{said}; it begins anew at {at:%Y-%m-%d %H:%M:%S} UTC", wait)
