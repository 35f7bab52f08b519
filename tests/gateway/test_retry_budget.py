"""The retries of a whole process: a store that failures empty and successes fill, and a share of the traffic."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from podium.gateway.health.retry_budget import RetryBudget
from podium.settings.resilience import RetryBudgetSettings


def budget(**options: Any) -> RetryBudget:
    return RetryBudget(RetryBudgetSettings(**options))


def test_a_transient_retry_costs_14_and_one_after_throttling_5():
    each = budget()
    assert (each.spend(0.0, throttled=False), each.left) == (14, 486)
    assert (each.spend(0.0, throttled=True), each.left) == (5, 481)


def test_an_empty_budget_allows_no_retry():
    each = budget(floor=1000)
    spent = [each.spend(0.0, throttled=False) for _ in range(40)]
    assert spent == [14] * 35 + [0] * 5
    assert each.left == 10
    assert each.spend(0.0, throttled=True) == 5


def test_a_retry_that_succeeds_is_given_back_and_a_clean_success_adds_one():
    each = budget(capacity=100)
    each.succeeded(0)
    assert each.left == 100
    price = each.spend(0.0, throttled=False)
    each.succeeded(0)
    assert each.left == 87
    each.succeeded(price)
    assert each.left == 100


def test_retries_are_a_tenth_of_the_minutes_traffic():
    each = budget(capacity=100_000)
    for _ in range(200):
        each.request(10.0)
    assert sum(each.spend(10.0, throttled=False) > 0 for _ in range(50)) == 20
    assert each.last_minute(10.0) == (200, 20)
    # A minute later that traffic counts no more, and a process with next to none has ten.
    assert sum(each.spend(75.0, throttled=False) > 0 for _ in range(50)) == 10


class Model(RuleBasedStateMachine):
    """A budget against lists of times."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = budget(capacity=60)
        self.now, self.left = 0.0, 60
        self.requests: list[float] = []
        self.retries: list[float] = []
        self.unpaid: list[int] = []

    def recent(self, times: list[float]) -> int:
        return sum(int(at / 2) > int(self.now / 2) - 30 for at in times)

    @rule(seconds=st.sampled_from([0.0, 1.0, 10.0, 70.0]), number=st.integers(1, 60))
    def ask(self, seconds: float, number: int) -> None:
        self.now += seconds
        for _ in range(number):
            self.budget.request(self.now)
            self.requests.append(self.now)

    @rule(throttled=st.booleans())
    def retry(self, throttled: bool) -> None:
        cost = 5 if throttled else 14
        allowed = self.left >= cost and self.recent(self.retries) + 1 <= max(
            10, 0.1 * self.recent(self.requests)
        )
        price = self.budget.spend(self.now, throttled=throttled)
        assert price == (cost if allowed else 0)
        if allowed:
            self.left -= cost
            self.retries.append(self.now)
            self.unpaid.append(cost)

    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        price = data.draw(st.sampled_from([0, *self.unpaid]))
        if price:
            self.unpaid.remove(price)
        self.budget.succeeded(price)
        self.left = min(self.left + (price or 1), 60)

    @invariant()
    def agrees(self) -> None:
        assert self.budget.left == self.left
        assert 0 <= self.left <= 60


TestRetryBudget = Model.TestCase
TestRetryBudget.settings = settings(max_examples=60, deadline=None)
