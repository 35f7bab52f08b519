"""Reserving and settling: nobody spends more than the budget, however many ask at once, whatever dies."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from podium.domain.budgets import Breach, Budget, Charge, Scope, Spender
from podium.domain.errors import BudgetExceeded
from podium.gateway.budgets.budgets import Budgets
from tests.budgets.support import ADA, CENT, NOON, Clock, budgets_on, spend, storage_on, use, uses

FIVE_A_DAY = Budget("$5", per="day", scope=Scope.TENANT)


async def test_of_200_callers_at_once_exactly_as_many_get_through_as_there_is_money_for(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)

    async def call() -> bool:
        try:
            reservation = await budgets.reserve(ADA, Charge(5 * CENT), budgets.applying(ADA))
        except BudgetExceeded:
            return False
        await asyncio.sleep(0.01)
        reservation.settle(Charge(5 * CENT))
        return True

    through = await asyncio.gather(*(call() for _ in range(200)))
    await budgets.close()
    assert through.count(True) == 100
    found = await use(storage)
    assert (found.spent, found.held, found.limit) == (500 * CENT, 0, 500 * CENT)


async def test_two_processes_together_keep_to_the_limit(storage):
    here, there = budgets_on(storage, FIVE_A_DAY), budgets_on(storage, FIVE_A_DAY, holder="there")

    async def call(budgets: Budgets) -> int:
        try:
            reservation = await budgets.reserve(ADA, Charge(5 * CENT), budgets.applying(ADA))
        except BudgetExceeded:
            return 0
        await asyncio.sleep(0)
        reservation.settle(Charge(5 * CENT))
        return 1

    through = sum(await asyncio.gather(*(call(each) for each in (here, there) for _ in range(100))))
    await here.close()
    await there.close()
    found = await use(storage)
    assert found.spent == through * 5 * CENT
    # One that holds a little for its next calls may leave that to nobody for a moment.
    assert 90 <= through <= 100


async def test_a_breach_says_which_budget_how_much_is_spent_and_when_it_begins_anew(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)
    for _ in range(4):
        await spend(budgets, 120)
    with pytest.raises(BudgetExceeded) as raised:
        await spend(budgets, 30)
    await budgets.close()
    error = raised.value
    assert (error.budget, error.subject, error.spent) == ("$5.00/d", "tenant 'ada'", 480 * CENT)
    assert error.resets_at == NOON + 12 * 3600
    assert "$4.80 of $5.00 spent" in str(error)
    assert "2023-11-16 00:00:00 UTC" in str(error)


async def test_what_a_call_did_not_cost_is_there_for_the_next(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)
    for _ in range(100):
        await spend(budgets, 400, actual=1)
    await budgets.close()
    assert (await use(storage)).spent == 100 * CENT


async def test_a_call_waits_for_others_that_may_cost_less_than_they_reserved(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)
    first = await budgets.reserve(ADA, Charge(400 * CENT), [FIVE_A_DAY])
    second = asyncio.create_task(budgets.reserve(ADA, Charge(400 * CENT), [FIVE_A_DAY], patience=5))
    await asyncio.sleep(0.05)
    assert not second.done()
    first.settle(Charge(1 * CENT))
    (await second).settle(Charge(1 * CENT))
    await budgets.close()
    assert (await use(storage)).spent == 2 * CENT


async def test_a_call_that_could_never_fit_does_not_wait(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)
    await spend(budgets, 400)
    reservation = await budgets.reserve(ADA, Charge(50 * CENT), [FIVE_A_DAY])
    async with asyncio.timeout(1):
        with pytest.raises(BudgetExceeded):
            await budgets.reserve(ADA, Charge(101 * CENT), [FIVE_A_DAY], patience=60)
    reservation.settle(None)
    await budgets.close()


async def test_a_request_whose_cost_nobody_knows_counts_as_what_was_reserved(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)
    reservation = await budgets.reserve(ADA, Charge(70 * CENT), [FIVE_A_DAY])
    reservation.settle(None)
    reservation.settle(Charge(1))
    await budgets.close()
    assert (await use(storage)).spent == 70 * CENT


async def test_a_call_that_cost_more_than_was_reserved_counts_in_full(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)
    await spend(budgets, 1, actual=600)
    await budgets.close()
    assert ((await use(storage)).spent, (await use(storage)).held) == (600 * CENT, 0)
    again = budgets_on(storage, FIVE_A_DAY)
    with pytest.raises(BudgetExceeded):
        await spend(again, 1)
    await again.close()


async def test_each_window_is_a_budget_of_its_own_and_clocks_that_step_back_find_theirs_again(storage):
    clock = Clock()
    budgets = budgets_on(storage, FIVE_A_DAY, clock=clock)
    await spend(budgets, 500)
    clock.now += 86_400
    await spend(budgets, 300)
    clock.now -= 86_400
    with pytest.raises(BudgetExceeded):
        await spend(budgets, 1)
    clock.now += 86_400
    with pytest.raises(BudgetExceeded):
        await spend(budgets, 201)
    await spend(budgets, 200)
    await budgets.close()


async def test_what_was_spent_is_known_after_a_restart(database: Path):
    for _ in range(2):
        async with storage_on(database) as storage:
            budgets = budgets_on(storage, FIVE_A_DAY)
            await spend(budgets, 240)
            await budgets.close()
    async with storage_on(database) as storage:
        with pytest.raises(BudgetExceeded, match=r"\$4\.80 of \$5\.00 spent"):
            await spend(budgets_on(storage, FIVE_A_DAY), 30)


async def test_what_a_killed_process_had_reserved_counts_as_spent_and_little_more(storage):
    killed = budgets_on(storage, FIVE_A_DAY, holder="killed")
    for _ in range(3):
        await killed.reserve(ADA, Charge(1 * CENT), [FIVE_A_DAY])
    held = (await use(storage)).held
    assert 3 * CENT <= held <= 3 * CENT + 500 * CENT // 64
    after = budgets_on(storage, FIVE_A_DAY, holder="after")
    await spend(after, 480)
    with pytest.raises(BudgetExceeded):
        await spend(after, 20)
    await after.close()


async def test_every_scope_counts_for_itself(storage):
    a_day = {scope: Budget("$1", per="day", scope=scope) for scope in Scope if scope is not Scope.RUN}
    budgets = budgets_on(storage, *a_day.values(), Budget("$1", scope=Scope.RUN))
    await spend(budgets, 100)
    for other in (
        replace(ADA, tenant="bob"),
        replace(ADA, run="run-2", workflow="billing", prompt="sort", tenant="eve"),
    ):
        await spend(budgets, 100, spender=other)
    with pytest.raises(BudgetExceeded, match=r"run 'run-1'|workflow 'support'"):
        await spend(budgets, 1)
    await budgets.close()
    # No call had a key.
    assert {each.scope for each in await uses(storage)} == {"run", "workflow", "prompt", "tenant"}


async def test_a_reservation_is_made_in_all_budgets_or_in_none(storage):
    small = Budget(10, per="day", scope=Scope.WORKFLOW)
    budgets = budgets_on(storage, FIVE_A_DAY, small)
    with pytest.raises(BudgetExceeded, match="10 tokens/d"):
        await spend(budgets, 100, tokens=11)
    await budgets.close()
    assert [(each.spent, each.held) for each in await uses(storage)] == [(0, 0), (0, 0)]


async def test_a_budget_that_names_somebody_takes_the_place_of_the_one_for_all(storage):
    budgets = budgets_on(storage, FIVE_A_DAY, Budget("$50", per="day", of="ada"))
    await spend(budgets, 4000)
    with pytest.raises(BudgetExceeded):
        await spend(budgets, 501, spender=Spender(tenant="bob"))
    await budgets.close()


async def test_a_soft_limit_stands_beside_a_hard_one(storage):
    soft = Budget("$1", per="day", breach=Breach.CHEAPER)
    budgets = budgets_on(storage, FIVE_A_DAY, soft)
    with pytest.raises(BudgetExceeded) as raised:
        await spend(budgets, 200)
    assert raised.value.cheaper
    await budgets.close()


async def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing_behind(storage):
    budgets = budgets_on(storage, FIVE_A_DAY)
    first = await budgets.reserve(ADA, Charge(400 * CENT), [FIVE_A_DAY])
    waits = asyncio.create_task(budgets.reserve(ADA, Charge(400 * CENT), [FIVE_A_DAY], patience=60))
    await asyncio.sleep(0.02)
    waits.cancel()
    await asyncio.wait([waits])
    first.settle(Charge(0))
    await budgets.close()
    found = await use(storage)
    assert (found.spent, found.held) == (0, 0)
