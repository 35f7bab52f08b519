"""A call's purse: what bounds it, and what each of its requests sets aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from podium.domain.answers import Usage
from podium.domain.budgets import Budget, Charge, Spender, Unpriced
from podium.domain.errors import BudgetExceeded
from podium.domain.money import Money
from podium.gateway.budgets.budgets import Budgets, Reservation
from podium.gateway.budgets.estimate import estimate
from podium.gateway.wording import one_line

if TYPE_CHECKING:
    from podium.gateway.prompt import Prompt
    from podium.ports.budgets import AccountKey
    from podium.ports.execution import AttemptContext
    from podium.ports.models import Message
    from podium.ports.prices import Prices


class Purses:
    """Gives each call its purse.

    A model without a price in the list is taken to cost as much as its dearest request so far. Before there was one
    whose cost was told, `unpriced` says whether a budget of money refuses it, or lets it pass for nothing.
    """

    def __init__(self, budgets: Budgets, prices: Prices, unpriced: Unpriced = "refuse") -> None:
        self._budgets = budgets
        self._prices = prices
        self._unpriced = unpriced
        self._dearest: dict[str, Money] = {}

    def purse(self, prompt: Prompt[Any], context: AttemptContext) -> Purse | None:
        """Return the purse of a call, None when nothing bounds it."""
        spender, budgets = self.bounds(prompt, context)
        return Purse(self, spender, budgets) if budgets else None

    def bounds(self, prompt: Prompt[Any], context: AttemptContext) -> tuple[Spender, Sequence[Budget]]:
        """Return on whose behalf a call is made, and the budgets that bound it."""
        own = [budget for budget in (prompt.budget, context.budget) if budget is not None]
        spender = Spender(context.tenant, context.workflow or None, context.run, prompt.name)
        return spender, self._budgets.applying(spender, own)

    def account(self, spender: Spender, budget: Budget) -> AccountKey:
        """Return where spending of `budget` is added up for `spender` now."""
        return self._budgets.key(spender, budget)

    def charge(
        self, spender: Spender, budgets: Sequence[Budget], model: str, usage: Usage, *, batched: bool = False
    ) -> Charge:
        """Return what a request that takes `usage` may come to; `batched`: as part of a batch.

        Raises `BudgetExceeded` where nobody can tell and a budget of money has to know.
        """
        listed = self._prices.price(model, usage, batched=batched)
        cost = listed if listed is not None and listed.nanos else self._dearest.get(model, listed)
        if cost is None:
            bound = next((each for each in budgets if isinstance(each.amount, Money)), None)
            if bound is not None and self._unpriced == "refuse":
                raise _unpriced(model, bound, spender)
            cost = Money()
        return Charge.of(cost, usage)

    async def reserve(
        self, spender: Spender, budgets: Sequence[Budget], model: str, usage: Usage, patience: float
    ) -> Reservation:
        """Set aside what `usage` of `model` may cost; see `Budgets.reserve`."""
        charge = self.charge(spender, budgets, model, usage)
        return await self._budgets.reserve(spender, charge, budgets, patience=patience)

    def learn(self, model: str, cost: Money) -> None:
        """Take note of what a request came to."""
        if cost > self._dearest.get(model, Money()):
            self._dearest[model] = cost


class Purse:
    """What bounds one call."""

    def __init__(self, purses: Purses, spender: Spender, budgets: Sequence[Budget]) -> None:
        self._purses = purses
        self._spender = spender
        self._budgets = budgets

    async def before_request(
        self,
        model: str,
        messages: Sequence[Message],
        max_tokens: int,
        schema: Mapping[str, Any] | None,
        patience: float,
    ) -> Reservation:
        """Set aside what a request may come to.

        Waits up to `patience` seconds for what other calls have set aside and may not need. Raises `BudgetExceeded`.
        """
        usage = estimate(messages, max_tokens, schema)
        return await self._purses.reserve(self._spender, self._budgets, model, usage, patience)

    def after_request(self, reservation: Reservation, model: str, cost: Money, usage: Usage) -> None:
        """Count what the request came to."""
        self._purses.learn(model, cost)
        reservation.settle(Charge.of(cost, usage))


def _unpriced(model: str, budget: Budget, spender: Spender) -> BudgetExceeded:
    """Return the error of a request that no budget of money could bound; another candidate may be asked."""
    return BudgetExceeded(
        f"Nobody knows what {one_line(model)} costs, so the budget of {budget} cannot bound it, and it was not asked. Give "
        'its price in the settings (prices.models), bound it by tokens, or set unpriced="allow" to let it spend unseen.',
        budget=str(budget),
        subject=f"{budget.scope.value} {spender.subject(budget.scope)!a}",
        spent=0,
        limit=budget.limit,
        resets_at=None,
        cheaper=True,
    )
