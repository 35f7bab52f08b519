"""Windows of budgets: where they begin and end, and that no order of calls, clocks and restarts oversteps them."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import InvalidDefinition, Money, Period, Queue, Scope, prompt, workflow
from podium.domain.budgets import Breach, Budget, Charge
from podium.gateway.budgets.account import Account
from podium.ports.budgets import AccountKey, Ask, Settled, Standing

PERIODS = ["30s", "hour", "day", "week", "month"]


@pytest.mark.parametrize(
    ("declared", "amount", "period", "shown"),
    [
        (Budget("$5", per="day"), Money.usd("5"), 86_400.0, "$5.00/d"),
        (Budget("$5/day"), Money.usd("5"), 86_400.0, "$5.00/d"),
        (Budget("$20", per="month"), Money.usd("20"), Period.MONTH, "$20.00/month"),
        (Budget("200k tokens", per="hour"), 200_000, 3600.0, "200,000 tokens/h"),
        (Budget("$0.50", scope=Scope.RUN), Money.usd("0.5"), Period.FOREVER, "$0.500000".rstrip("0")),
        (Budget(Money(1), 30), Money(1), 30.0, "$0.000000001/30s"),
    ],
)
def test_a_budget_is_declared_by_text_or_by_values(declared, amount, period, shown):
    assert (declared.amount, declared.period) == (amount, period)
    assert shown.split("/")[-1] in str(declared)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Budget("$0", per="day"),
        lambda: Budget(0),
        lambda: Budget("5", per="day"),
        lambda: Budget("$5/day", per="day"),
        lambda: Budget("$5", per="fortnight"),
        lambda: Budget("$5", per=0),
        lambda: Budget("$5", per=math.inf),
        lambda: Budget(True),
        lambda: prompt("p", "x", budget="$5"),
        lambda: workflow(budget=Budget("$5", per="day")),
        lambda: Queue("q", budget=Budget("$5", scope=Scope.RUN)),
    ],
)
def test_what_bounds_nothing_or_says_two_things_is_refused(declare):
    with pytest.raises(InvalidDefinition):
        declare()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("per", "now", "end"),
    [
        ("hour", "2026-11-20T09:59:59", "2026-11-20T10:00:00"),
        ("day", "2026-11-20T00:00:00", "2026-11-21T00:00:00"),
        ("week", "2026-11-22T23:59:59", "2026-11-23T00:00:00"),
        ("week", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("month", "2024-02-29T12:00:00", "2024-03-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    ],
)
def test_windows_are_those_of_the_calendar(per, now, end):
    budget = Budget("$1", per=per)
    assert budget.window_end(budget.window(at(now))) == at(end)


def test_a_runs_budget_never_begins_anew():
    budget = Budget("$1", scope=Scope.RUN)
    assert budget.window(0) == budget.window(9e9) == 0
    assert budget.window_end(0) is None


times = st.floats(0, 4e9)


@given(st.sampled_from(PERIODS), times, times)
def test_every_time_is_in_one_window_and_later_times_in_no_earlier_one(per, one, other):
    budget = Budget("$1", per=per)
    window, end = budget.window(one), budget.window_end(budget.window(one))
    assert end is not None
    assert one < end
    assert budget.window(end) == window + 1
    if one <= other:
        assert window <= budget.window(other)


class Disk:
    """What the database does to an account, as arithmetic: spending and holds of several processes."""

    def __init__(self) -> None:
        self.spent: dict[AccountKey, int] = defaultdict(int)
        self.held: dict[tuple[AccountKey, int], int] = defaultdict(int)

    def take(self, holder: int, ask: Ask) -> Standing:
        held = sum(amount for (key, _), amount in self.held.items() if key == ask.key)
        room = ask.budget.limit - self.spent[ask.key] - held
        given = min(room, ask.most) if room >= ask.least else 0
        self.held[ask.key, holder] += given
        return Standing(self.spent[ask.key], held, given)

    def settle(self, holder: int, settled: Settled) -> None:
        self.spent[settled.key] += settled.spent
        self.held[settled.key, holder] -= settled.spent + settled.returned


moves = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "write", "kill", "clock"]),
        st.integers(0, 2),
        st.integers(0, 60),
    ),
    max_size=80,
)


class World:
    """Processes that reserve and settle on one disk, are killed, and go on as new ones; and what is truly spent."""

    def __init__(self, limit: int) -> None:
        self.budget = Budget(limit, 100)
        self.disk = Disk()
        self.now = 1000.0
        self.holders = [0, 1, 2]
        self.accounts: dict[tuple[int, AccountKey], Account] = {}
        self.open: list[tuple[int, Account, int]] = []
        self.spent: dict[AccountKey, int] = defaultdict(int)

    def clock(self, process: int, amount: int) -> None:
        self.now += (amount - 30) * 10

    def reserve(self, process: int, amount: int) -> None:
        holder = self.holders[process]
        key = AccountKey("t", self.budget.name, "t", self.budget.window(self.now))
        account = self.accounts.setdefault((holder, key), Account(key, self.budget))
        if account.free < amount:
            account.take(self.disk.take(holder, account.ask_for(amount)))
        if account.free >= amount:
            account.reserve(amount)
            self.open.append((holder, account, amount))

    def settle(self, process: int, amount: int) -> None:
        if self.open:
            _, account, reserved = self.open.pop(amount % len(self.open))
            account.settle(reserved, min(amount, reserved))
            self.spent[account.key] += min(amount, reserved)

    def write(self, process: int, amount: int) -> None:
        for (holder, _), account in self.accounts.items():
            if holder == self.holders[process] and (settled := account.write_off()):
                self.disk.settle(holder, settled)

    def kill(self, process: int, amount: int) -> None:
        # What it had sent is billed, and what it knew is forgotten.
        gone = self.holders[process]
        for holder, account, reserved in self.open:
            if holder == gone:
                self.spent[account.key] += reserved
        self.open = [each for each in self.open if each[0] != gone]
        self.accounts = {place: each for place, each in self.accounts.items() if place[0] != gone}
        self.holders[process] = max(self.holders) + 1


@given(st.integers(50, 500), moves)
def test_no_order_of_calls_writes_kills_and_clocks_spends_more_than_the_limit(limit, story):
    world = World(limit)
    for move, process, amount in story:
        getattr(world, move)(process, amount)
        for key in {key for _, key in world.accounts} | set(world.spent):
            under_way = sum(size for _, account, size in world.open if account.key == key)
            assert world.spent[key] + under_way <= limit
        assert all(account.free >= 0 for account in world.accounts.values())


def test_a_charge_counts_in_the_unit_of_the_budget():
    charge = Charge(nanos=5, tokens=7)
    assert Budget(Money(9), 1).share(charge) == 5
    assert Budget(9, 1).share(charge) == 7
    assert Budget(9, 1).name != Budget(Money(9), 1).name != Budget(Money(9), 1, breach=Breach.CHEAPER).name


@pytest.mark.parametrize("wrong", [{"scope": "planet"}, {"breach": "explode"}, {"scope": None}])
def test_a_budget_of_nobody_or_with_no_known_end_is_refused_in_words(wrong: dict[str, Any]):
    with pytest.raises(InvalidDefinition, match="must be one of"):
        Budget("$5", **wrong)
    assert Budget("$5", scope="run").scope is Scope.RUN  # type: ignore[arg-type]
