"""Budgets in the gateway: a call is reserved for before it is sent, and a breach fails it or finds a cheaper model."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from podium import (
    Breach,
    Budget,
    BudgetExceeded,
    GatewaySettings,
    Money,
    Podium,
    RunFailed,
    Scope,
    Settings,
    prompt,
    workflow,
)
from podium.domain.answers import FailureKind, Usage
from podium.gateway.budgets.budgets import Budgets
from podium.gateway.budgets.estimate import estimate
from podium.gateway.budgets.purse import Purses
from podium.ports.models import Counted, FinishReason, Message, ModelFailure, ModelReply, Role
from podium.providers import Providers, Script
from podium.providers.price_list import PriceList
from podium.providers.prices import Prices
from tests.budgets.support import CENT, budgets_on, use, uses
from tests.gateway.support import Desk, models
from tests.gateway.test_hedging import LATE
from tests.gateway.test_hedging import Desk as Race
from tests.support.apps import app_on

DEAR, CHEAP = "scripted:dear", "scripted:cheap"


class Listed:
    """A dear model, 10 cents a thousand tokens, and a cheap one, a hundredth of that."""

    def price(self, model: str, usage: Usage, *, batched: bool = False) -> Money | None:
        assert not batched
        each: Mapping[str, int] = {DEAR: 100_000, CHEAP: 1_000}
        tokens = usage.input_tokens + usage.output_tokens
        return Money(each[model] * tokens) if model in each else None


def reply(cents: int) -> ModelReply:
    return ModelReply("fine", FinishReason.STOP, Usage(10, 10), "m", cost=Money(cents * CENT))


def desk_on(storage, *budgets: Budget, **scripts: Script) -> tuple[Desk, Budgets]:
    kept = budgets_on(storage, *budgets)
    desk = Desk(Providers({}, scripts=scripts))
    desk.gateway._purses = Purses(kept, Listed())
    return desk, kept


def ask_of(*names: str, **options):
    return prompt("classify", "Say: {text}", models=models(*names), max_tokens=1000, **options)


async def test_a_call_that_does_not_fit_is_not_sent(storage):
    script = Script([reply(1)])
    desk, _ = desk_on(storage, Budget("$0.05", per="day"), dear=script)
    with pytest.raises(BudgetExceeded, match=r"\$0\.05"):
        await desk.ask(ask_of("dear"), text="hi")
    assert script.requests == []
    assert desk.story == [(DEAR, "budget", "fail")]


async def test_what_a_call_cost_is_counted_and_not_what_it_might_have(storage):
    desk, budgets = desk_on(storage, Budget("$0.25", per="day"), dear=Script([reply(1)] * 5))
    for _ in range(5):
        await desk.ask(ask_of("dear"), text="hi")
    await budgets.close()
    assert [each.spent for each in await uses(storage)] == [5 * CENT]


async def test_a_budget_may_let_the_next_candidate_be_asked_when_it_fits(storage):
    dear = Script([reply(1)])
    cheaper = Budget("$0.05", per="day", breach=Breach.CHEAPER)
    desk, _ = desk_on(storage, cheaper, dear=dear, cheap=Script([reply(0)]))
    answer = await desk.ask(ask_of("dear", "cheap"), text="hi")
    assert (answer.model, dear.requests) == (CHEAP, [])
    assert desk.story == [(DEAR, "budget", "next"), (CHEAP, None, "accepted")]


async def test_when_no_candidate_fits_the_budget_is_what_is_told(storage):
    cheaper = Budget("$0.0005", per="day", breach=Breach.CHEAPER)
    desk, _ = desk_on(storage, cheaper, dear=Script([]), cheap=Script([]))
    with pytest.raises(BudgetExceeded):
        await desk.ask(ask_of("dear", "cheap"), text="hi")


async def test_failed_requests_cost_what_was_counted(storage):
    failed = ModelFailure(FailureKind.SERVER, "no", usage=Usage(5, 0), cost=Money(2 * CENT))
    desk, budgets = desk_on(storage, Budget("$1", per="day"), dear=Script([failed, reply(3)]))
    await desk.ask(ask_of("dear"), text="hi")
    await budgets.close()
    assert [each.spent for each in await uses(storage)] == [5 * CENT]


async def test_a_model_of_unknown_price_is_taken_to_cost_as_much_as_it_did(storage):
    desk, budgets = desk_on(storage, Budget("$0.05", per="day"), odd=Script([reply(3), reply(3)]))
    desk.gateway._purses = Purses(budgets, Listed(), "allow")
    await desk.ask(ask_of("odd"), text="hi")
    with pytest.raises(BudgetExceeded):
        await desk.ask(ask_of("odd"), text="hi")


async def test_a_prompt_brings_its_own_budget(storage):
    desk, budgets = desk_on(storage, dear=Script([reply(1)]))
    with pytest.raises(BudgetExceeded, match="prompt 'classify'"):
        await desk.ask(ask_of("dear", budget="$0.01/day"), text="hi")
    await budgets.close()


def test_an_estimate_is_no_less_than_what_english_json_and_chinese_take():
    assert estimate([Message(Role.USER, "word " * 300)], 100) == Usage(508, 100)
    assert estimate([Message(Role.USER, "字" * 300)], 0).input_tokens >= 300
    assert estimate([Message(Role.USER, "")], 0, {"type": "object"}).input_tokens > 8


def test_known_prices_are_near_the_table_and_never_below():
    prices = PriceList({"OPENAI_API_KEY": "k"}, Prices())
    small, large = (prices.price("openai:gpt-5-mini", Usage(n, n)) for n in (1000, 1_000_000))
    assert small is not None
    assert large is not None
    assert large.nanos <= small.nanos * 1001
    assert prices.price("local:smollm2", Usage(1000, 1000)) == Money()
    assert prices.price("scripted:x", Usage(1, 1)) == Money()
    assert prices.price("record:openai:no-such-model", Usage(1, 1)) is None
    assert prices.price("openai:gpt-5-mini@http://127.0.0.1:9/v1", Usage(1, 1)) is None


@workflow(budget=Budget(2200, scope=Scope.RUN))
async def bounded(times: int) -> int:
    for _ in range(times):
        await ask_of("cheap")(text="hi")
    return times


async def test_a_run_may_spend_what_its_workflow_says_and_no_more(database):
    script = Script([ModelReply("fine", FinishReason.STOP, Usage(500, 500), "m")] * 9)
    async with app_on(database, bounded, scripts={"cheap": script}) as app:
        assert await app.run(bounded, 2, run_id="two") == 2
        with pytest.raises(RunFailed, match="run 'three'"):
            await app.run(bounded, 3, run_id="three")
        assert len(script.requests) == 4


async def test_a_tenants_budget_survives_a_restart_of_the_app(database):
    budget = Budget(4000, per="forever")
    settings = Settings(gateway=GatewaySettings(budgets=(budget,)))
    for run_id, calls in (("one", 3), ("two", 0)):
        script = Script([ModelReply("fine", FinishReason.STOP, Usage(500, 500), "m")] * 9)
        async with Podium(
            database, workflows=[unbounded], settings=settings, scripts={"cheap": script}
        ) as app:
            with pytest.raises(RunFailed, match="tenant 'default'"):
                await app.run(unbounded, 9, run_id=run_id)
            (found,) = await app.budgets.list()
        assert len(script.requests) == calls
        # What the first one had not written down when it was asked is there for the second.
    assert found.spent == 3000


@workflow
async def unbounded(times: int) -> None:
    for _ in range(times):
        await ask_of("cheap")(text="hi")


async def test_the_loser_of_a_race_is_settled_with_its_bill_and_not_with_all_that_it_might_have_cost(storage):
    desk = await Race(hedge=True, max_tokens=1000).known()
    budgets = budgets_on(storage, Budget("1m tokens", per="day"))
    desk.gateway._purses = Purses(budgets, Listed())
    desk.a.seconds, desk.a.counts = LATE, Counted(Usage(37, 5))
    _, won = (await desk.ask()).attempts
    await budgets.close()
    spent = await use(storage)
    assert spent.spent == 37 + 5 + won.usage.input_tokens + won.usage.output_tokens
    assert spent.held == 0


async def test_a_budget_of_money_refuses_what_nobody_can_price_and_another_candidate_may_answer(storage):
    strange = Script([])
    desk, _ = desk_on(storage, Budget("$5/day"), strange=strange, dear=Script([reply(1)]))
    with pytest.raises(BudgetExceeded, match="Nobody knows what scripted:strange costs") as raised:
        await desk.ask(ask_of("strange"), text="hi")
    assert raised.value.budget == "$5.00/d"
    assert (await desk.ask(ask_of("strange", "dear"), text="hi")).model == DEAR
    assert strange.requests == []


async def test_what_nobody_can_price_may_be_allowed_and_is_bounded_by_tokens_all_the_same(storage):
    desk, _ = desk_on(storage, Budget("1m tokens/day"), strange=Script([reply(1)] * 3))
    await desk.ask(ask_of("strange"), text="hi")
    desk.gateway._purses = Purses(budgets_on(storage, Budget("$5/day")), Listed(), "allow")
    answer = await desk.ask(ask_of("strange"), text="hi")
    assert answer.cost == Money(CENT)
