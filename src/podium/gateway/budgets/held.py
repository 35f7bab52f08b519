"""What batches set aside: it is held on disk, under names of their own, until somebody settles it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from podium.domain.budgets import Breach, Charge
from podium.domain.money import Money
from podium.gateway.budgets.account import Account
from podium.gateway.budgets.budgets import exceeded
from podium.gateway.budgets.estimate import estimate
from podium.gateway.budgets.purse import Purses
from podium.ports.budgets import Hold, HoldStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.domain.answers import Usage
    from podium.gateway.prompt import Prompt
    from podium.ports.execution import AttemptContext
    from podium.ports.models import ModelRequest

# How often it is looked whether others have settled what is in the way.
_LOOK: Final = 0.5


@dataclass(frozen=True, slots=True)
class Reservations:
    """Sets aside what batches may cost and settles it. `sleep` waits for seconds."""

    purses: Purses
    store: HoldStore
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def charge(
        self, prompt: Prompt[Any], context: AttemptContext, model: str, requests: Sequence[ModelRequest]
    ) -> Charge:
        """Return what a batch of `requests` to `model` may come to at most, at the vendor's price for batches.

        Raises `BudgetExceeded` where nobody can tell and a budget of money has to know.
        """
        spender, budgets = self.purses.bounds(prompt, context)
        total = Charge()
        for each in requests:
            usage = estimate(each.messages, each.max_tokens, each.schema)
            total += self.purses.charge(spender, budgets, model, usage, batched=True)
        return total

    async def reserve(
        self,
        prompt: Prompt[Any],
        context: AttemptContext,
        holder: str,
        charges: Mapping[str, Charge],
        patience: float,
    ) -> None:
        """Set aside all of `charges`, by the names of their holders, in place of what `holder` held.

        When only what others have set aside is in the way, waits up to `patience` seconds for these to need less.
        Raises `BudgetExceeded`, and then nothing has changed.
        """
        spender, budgets = self.purses.bounds(prompt, context)
        while True:
            holds = [
                Hold(self.purses.account(spender, budget), budget, name, budget.share(charge))
                for budget in budgets
                for name, charge in charges.items()
            ]
            short = await self.store.hold(context.tenant, holder, holds)
            if short is None:
                return
            only_held = short.standing.spent + short.amount <= short.budget.limit
            if patience <= 0 or not only_held or short.budget.breach is not Breach.FAIL:
                account = Account(short.key, short.budget)
                account.standing = short.standing
                raise exceeded(account, short.amount)
            await self.sleep(_LOOK)
            patience -= _LOOK

    async def has(self, context: AttemptContext, holder: str) -> bool:
        """Return whether `holder` has something set aside."""
        return await self.store.held(context.tenant, holder)

    async def settle(self, context: AttemptContext, holder: str, spent: tuple[Money, Usage] | None) -> None:
        """Count what was `spent` in place of what `holder` has set aside, all of that when nobody knows. Only once."""
        charge = None if spent is None else Charge.of(*spent)
        await self.store.settle_hold(context.tenant, holder, charge)

    async def release(self, context: AttemptContext, holder: str) -> None:
        """Give back what `holder` has set aside, because nothing was asked."""
        await self.store.settle_hold(context.tenant, holder, Charge())
