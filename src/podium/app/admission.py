"""Admission: whether a key may have a request answered now, and what that takes of its limits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from podium.app.prices import Price
from podium.domain.answers import Usage
from podium.domain.keys import ApiKey
from podium.domain.money import Money
from podium.ports.allowances import Allowance, Allowances, Exhausted, Taken

MINUTE = 60.0


class Limit(StrEnum):
    """What a request was refused for."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENCY = "concurrency"
    BUDGET = "budget"
    UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that a key's limit does not allow; `message` says which, `retry_after` seconds when it may again."""

    limit: Limit
    message: str
    retry_after: float | None = None


@dataclass(slots=True)
class Admitted:
    """A request that may go ahead. To be settled once, whatever comes of it."""

    allowances: Allowances
    at_work: dict[str, int]
    key: ApiKey | None = None
    tokens: Taken | None = None
    budget: Taken | None = None
    requests: Taken | None = None
    settled: bool = False

    def settle(self, usage: Usage | None, cost: Money | None) -> None:
        """Say what was used. What is not known, None, counts as all that was taken for it."""
        if self.key is None or self.settled:
            return
        self.settled = True
        self.at_work[self.key.name] -= 1
        total = None if usage is None else usage.input_tokens + usage.output_tokens
        if self.tokens is not None and total is not None:
            self.allowances.settle(self.tokens, total)
        if self.budget is not None:
            in_money = self.key.limits.budget is not None and isinstance(self.key.limits.budget.amount, Money)
            used = (None if cost is None else cost.nanos) if in_money else total
            if used is not None:
                self.allowances.settle(self.budget, used)

    def withdraw(self) -> None:
        """Undo what was taken: the request is not answered after all."""
        for taken in (self.requests, self.tokens, self.budget):
            if taken is not None:
                self.allowances.settle(taken, 0)
        self.tokens = self.budget = self.requests = None


@dataclass(slots=True)
class Admission:
    """Admits requests. `price` says what the most that a request may use would cost."""

    allowances: Allowances
    price: Price
    at_work: dict[str, int] = field(default_factory=dict)

    async def admit(self, key: ApiKey | None, models: Sequence[str], most: Usage) -> Admitted | Refused:
        """Take of the key's limits what a request to any of `models` may use at `most`."""
        if key is None:
            return Admitted(self.allowances, self.at_work)
        limits = key.limits
        busy = self.at_work.get(key.name, 0)
        if limits.concurrency is not None and busy >= limits.concurrency:
            return Refused(Limit.CONCURRENCY, f"{busy} requests of this key are at work", 1.0)
        self.at_work[key.name] = busy + 1
        admitted = Admitted(self.allowances, self.at_work, key)
        refused: Refused | None = None
        try:
            refused = await self._take(admitted, key, models, most)
        except BaseException:
            self._undo(admitted)
            raise
        if refused is None:
            return admitted
        self._undo(admitted)
        return refused

    def _undo(self, admitted: Admitted) -> None:
        admitted.withdraw()
        admitted.settle(Usage(), Money())

    async def _take(
        self, admitted: Admitted, key: ApiKey, models: Sequence[str], most: Usage
    ) -> Refused | None:
        limits, tokens = key.limits, most.input_tokens + most.output_tokens
        if limits.requests is not None:
            taken = await self._of(key, Limit.REQUESTS, limits.requests, MINUTE, 1)
            if isinstance(taken, Exhausted):
                return _refused(Limit.REQUESTS, f"{limits.requests} requests a minute", taken)
            admitted.requests = taken
        if limits.tokens is not None:
            taken = await self._of(key, Limit.TOKENS, limits.tokens, MINUTE, tokens)
            if isinstance(taken, Exhausted):
                return _refused(Limit.TOKENS, f"{limits.tokens} tokens a minute", taken)
            admitted.tokens = taken
        if limits.budget is not None:
            amount = tokens
            if isinstance(limits.budget.amount, Money):
                costs = [self.price(model, most) for model in models]
                if None in costs:
                    unknown = models[costs.index(None)]
                    return Refused(
                        Limit.UNPRICED,
                        f"no price is known for {unknown}, so this key's budget cannot be kept",
                    )
                amount = max(cost.nanos for cost in costs if cost is not None)
            taken = await self._of(key, Limit.BUDGET, limits.budget.limit, limits.budget.per, amount)
            if isinstance(taken, Exhausted):
                return _refused(Limit.BUDGET, f"a budget of {limits.budget}", taken)
            admitted.budget = taken
        return None

    async def _of(self, key: ApiKey, limit: Limit, most: int, per: float, amount: int) -> Taken | Exhausted:
        return await self.allowances.take(Allowance(f"{key.name}/{limit}", most, per, key.tenant), amount)


def _refused(limit: Limit, said: str, exhausted: Exhausted) -> Refused:
    wait = max(exhausted.retry_after, 0.0)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + wait))
    return Refused(
        limit, f"this key has {said}, which this request would exceed; it begins anew at {at} UTC", wait
    )
