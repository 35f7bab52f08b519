"""Batches at vendors over the wire: each vendor's own format, and the same rules for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from podium import Answer, Breach, Budget, BudgetExceeded, GatewaySettings, RunState, prompt, workflow
from podium.domain.money import Money
from podium.gateway.batches import batching, plans, submission
from podium.providers import Script
from podium.providers.vendors import VENDORS as KNOWN
from tests.support.apps import until
from tests.support.batches import TEXTS, VENDORS, app_of, asking, calls, said, uses
from tests.wire import (
    Received,
    Reply,
    WireServer,
    bad_request,
    ok,
    rate_limited,
    reset,
    server_error,
    unauthorized,
    unavailable,
)
from tests.wire.batches import (
    Job,
    MessageBatches,
    ResponseBatches,
    answered,
    errored,
    succeeded,
)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors are looked at every few milliseconds."""
    monkeypatch.setattr(batching, "_FIRST_LOOK", 0.01)
    monkeypatch.setattr(batching, "_RAREST_LOOK", 0.02)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_batch_goes_to_each_vendor_in_its_own_format_and_its_answers_come_back_in_order(
    database, vendor
):
    model, service_of, spelled = VENDORS[vendor]
    service = service_of(lambda body: spelled(said(body)))
    async with WireServer(vendor) as server:
        server.always(service)
        flow = asking(server.name(model))
        async with app_of(database, flow) as app:
            assert await app.run(flow, run_id="r") == TEXTS
            told = await calls(app)
    assert [len(batch) for batch in service.submitted] == [3]
    assert [each.outcome for each in told] == ["submitted", "accepted", "accepted", "accepted"]
    assert {each.message for each in told[1:]} == {f"by batch {service.jobs[0].id}"}
    assert {each.usage.input_tokens for each in told[1:]} == {11}
    assert all(not name.startswith(("file-", "files/")) for name in service.files)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_cancelled_run_has_the_vendor_stop_its_batch(database, vendor):
    model, service_of, spelled = VENDORS[vendor]
    service = service_of(lambda body: spelled(said(body)), looks=10**9)
    async with WireServer(vendor) as server:
        server.always(service)
        flow = asking(server.name(model))
        async with app_of(database, flow) as app:
            run = await app.start(flow, run_id="r")
            await until(lambda: service.looked >= 2)
            await run.cancel()
            await app.story.state("r", RunState.CANCELLED)
            assert [each.outcome for each in await calls(app)][-1] == "cancelled"
    assert [job.cancelled for job in service.jobs] == [True]


@pytest.mark.parametrize("vendor", ["openai", "google"])
async def test_single_lines_that_failed_and_batches_that_expired_are_asked_one_by_one(database, vendor):
    model, service_of, spelled = VENDORS[vendor]

    def outcome(body: Mapping[str, Any]) -> Mapping[str, Any]:
        failed = {"error": {"code": 13, "message": "busy"}}
        return failed if said(body) == "parcel" else spelled(said(body))

    asked: list[str] = []

    def single(request: Received) -> Reply:
        asked.append(said(request.body))
        return ok(f"again {asked[-1]}")

    service = service_of(outcome, single=single)
    async with WireServer(vendor) as server:
        server.always(service)
        flow = asking(server.name(model))
        async with app_of(database, flow) as app:
            assert await app.run(flow) == ["storm", "again parcel", "letter"]
    assert asked == ["parcel"]


async def test_of_an_expired_batch_all_are_asked_one_by_one(database):
    service = ResponseBatches(lambda body: answered(said(body)), single=lambda _: ok("alone"))
    service.looks = 10**9

    def expire(job: Any) -> None:
        job.expired = True

    service.on_taken = expire
    async with WireServer("openai") as server:
        server.always(service)
        flow = asking(server.name("gpt-5-mini"))
        async with app_of(database, flow) as app:
            assert await app.run(flow) == ["alone"] * 3


async def test_answers_that_are_kept_are_not_asked_for_and_those_of_a_batch_are_kept(database):
    service = MessageBatches(lambda body: succeeded(said(body)))
    async with WireServer("anthropic") as server:
        server.always(service)
        name = server.name("claude-haiku-4-5")
        once = asking(name, items=["storm", "parcel"], cache="1h")
        async with app_of(database, once) as app:
            assert await app.run(once) == ["storm", "parcel"]
        flow = asking(name, cache="1h")
        async with app_of(database, flow) as app:
            assert await app.run(flow, run_id="r") == TEXTS
            told = [each.outcome for each in await calls(app)]
    assert [len(batch) for batch in service.submitted] == [2, 1]
    assert told == ["cached", "cached", "submitted", "accepted"]


async def test_equal_items_are_asked_once_and_cost_once(database):
    service = MessageBatches(lambda body: succeeded(said(body)))
    async with WireServer("anthropic") as server:
        server.always(service)
        write = prompt("write", "Say: {text}", models=[server.name("claude-haiku-4-5")])

        @workflow(name="twice")
        async def twice() -> list[list[Any]]:
            outcomes = await write.batch([{"text": each} for each in ("storm", "parcel", "storm", "storm")])
            return [[one.value, one.usage.input_tokens] for one in outcomes if isinstance(one, Answer)]

        async with app_of(database, twice) as app:
            found = await app.run(twice)
    assert found == [["storm", 11], ["parcel", 11], ["storm", 0], ["storm", 0]]
    assert [len(batch) for batch in service.submitted] == [2]


async def test_a_batch_is_reserved_at_the_vendors_batch_price_and_settled_by_what_was_used(
    database, monkeypatch
):
    monkeypatch.setattr(batching, "_FIRST_LOOK", 0.3)
    service = MessageBatches(lambda body: succeeded(said(body)), looks=0)
    async with WireServer("anthropic") as server:
        server.always(service)
        flow = asking("anthropic:claude-haiku-4-5")
        # The vendor's own server is this one, and so the vendor's prices count.
        monkeypatch.setitem(KNOWN, "anthropic", replace(KNOWN["anthropic"], home=server.url))
        settings = GatewaySettings(budgets=(Budget("$1/day"), Budget("1m tokens/day")))
        async with app_of(database, flow, environment={"ANTHROPIC_API_KEY": "k"}, gateway=settings) as app:
            run = await app.start(flow, run_id="r")
            await until(lambda: service.jobs)
            money, tokens = await uses(database)
            await run.result()
            costs = [each.cost for each in await calls(app) if each.outcome == "accepted"]
            tables = {each.price_table for each in await calls(app) if each.outcome == "accepted"}
        after = await uses(database)
    # 100 tokens of output at $2.50 a million for each, and a dozen of input at 50 cents.
    assert 3 * 250_000 <= money[1] <= 3 * 270_000
    assert 300 < tokens[1] < 400
    # Half of $1 and $5 a million.
    assert costs == [Money(11 * 500 + 5 * 2500)] * 3
    assert tables.pop().startswith("genai-prices")
    assert after == [(3 * (11 * 500 + 5 * 2500), 0), (3 * 16, 0)]


async def test_a_batch_that_does_not_fit_the_budget_is_not_submitted(database):
    service = MessageBatches(lambda body: succeeded(said(body)))
    async with WireServer("anthropic") as server:
        server.always(service)
        flow = asking(server.name("claude-haiku-4-5"))
        settings = GatewaySettings(budgets=(Budget("300 tokens/day"),))
        async with app_of(database, flow, gateway=settings) as app:
            with pytest.raises(Exception, match="300 tokens/d") as raised:
                await app.run(flow)
    assert BudgetExceeded.__name__ in repr(raised.value)
    assert service.jobs == []


async def test_where_the_budget_says_so_a_candidate_that_takes_no_batches_is_asked_instead(database):
    service = MessageBatches(lambda body: succeeded(said(body)))
    async with WireServer("anthropic") as server:
        server.always(service)
        flow = asking(server.name("claude-haiku-4-5"), "scripted:small")
        # Too little for the batch, and for any one of its requests; the other candidate costs nothing.
        budget = Budget("$0.0001/day", breach=Breach.CHEAPER)
        async with app_of(
            database,
            flow,
            gateway=GatewaySettings(budgets=(budget,)),
            scripts={"small": Script(["one", "two", "three"])},
        ) as app:
            assert sorted(await app.run(flow, run_id="r")) == ["one", "three", "two"]
    assert service.jobs == []


async def test_a_cancelled_batch_that_had_answered_nothing_gives_its_reservation_back(database):
    service = MessageBatches(lambda body: succeeded(said(body)), looks=10**9)
    async with WireServer("anthropic") as server:
        server.always(service)
        flow = asking(server.name("claude-haiku-4-5"))
        settings = GatewaySettings(budgets=(Budget("1m tokens/day"),))
        async with app_of(database, flow, gateway=settings) as app:
            run = await app.start(flow, run_id="r")
            await until(lambda: service.looked >= 1)
            await run.cancel()
            await app.story.state("r", RunState.CANCELLED)
        assert await uses(database) == [(0, 0)]


async def test_a_batch_is_collected_with_the_key_that_handed_it_in(database):
    service = MessageBatches(lambda body: succeeded(said(body)), looks=2)
    service.trouble = [unauthorized()]
    async with WireServer("anthropic") as server:
        server.always(service)
        name = server.name("claude-haiku-4-5")
        flow = asking(name)
        place = name.partition(":")[0] + "@" + server.url
        env = {"FIRST": "key-1", "SECOND": "key-2"}
        settings = GatewaySettings(credentials={place: ("FIRST", "SECOND")})
        async with app_of(database, flow, environment=env, gateway=settings) as app:
            assert await app.run(flow, run_id="r") == TEXTS
            told = await calls(app)
    assert len({key for _, key in service.keys}) == 1
    assert {what for what, _ in service.keys} == {"create", "look", "results"}
    assert [(each.outcome, each.failure) for each in told][:2] == [
        ("next", "authentication"),
        ("submitted", None),
    ]


async def test_a_vendor_that_asks_for_patience_leaves_the_batch_to_the_next_candidate(database):
    service = MessageBatches(lambda body: succeeded(said(body)))
    async with WireServer("anthropic") as server, WireServer("openai") as busy:
        server.always(service)
        busy.always(rate_limited("600"))
        flow = asking(busy.name("gpt-5-mini"), server.name("claude-haiku-4-5"))
        async with app_of(database, flow) as app:
            assert await app.run(flow, run_id="r") == TEXTS
            told = await calls(app)
    assert [(each.failure, each.outcome) for each in told][:2] == [
        ("rate_limit", "next"),
        (None, "submitted"),
    ]
    assert [len(batch) for batch in service.submitted] == [3]


async def test_failed_looks_count_for_the_breaker_and_the_batch_is_collected_all_the_same(database):
    service = MessageBatches(lambda body: succeeded(said(body)), looks=0)
    async with WireServer("anthropic") as server:
        server.always(service)
        service.on_taken = lambda _: service.trouble.extend([unavailable()] * 2)
        flow = asking(server.name("claude-haiku-4-5"))
        async with app_of(database, flow) as app:
            assert await app.run(flow, run_id="r") == TEXTS
            told = await calls(app)
    assert [each.outcome for each in told][:3] == ["submitted", "wait", "wait"]
    assert len(service.jobs) == 1


async def test_more_than_one_batch_may_hold_goes_in_several(database, monkeypatch):
    monkeypatch.setattr(plans, "MOST_TOGETHER", 10)
    items = [f"n{n}n" for n in range(25)]
    service = MessageBatches(lambda body: succeeded(said(body)))
    async with WireServer("anthropic") as server:
        server.always(service)
        flow = asking(server.name("claude-haiku-4-5"), items=items)
        async with app_of(database, flow) as app:
            assert await app.run(flow) == items
    assert sorted(len(batch) for batch in service.submitted) == [5, 10, 10]


async def test_a_waiting_run_says_for_which_batch_where_and_since_when(database, monkeypatch):
    monkeypatch.setattr(batching, "_FIRST_LOOK", 600.0)
    service = MessageBatches(lambda body: succeeded(said(body)))
    async with WireServer("anthropic") as server:
        server.always(service)
        name = server.name("claude-haiku-4-5")
        flow = asking(name)
        async with app_of(database, flow, unreplayed="it waits") as app:
            await app.start(flow, run_id="r")
            waiting = await app.story.state("r", RunState.WAITING)
    assert waiting.waiting_on is not None
    assert waiting.waiting_on.startswith(f"batch msgbatch_1 (3 requests) at {name} since 20")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a batch was taken is looked up at once."""
    monkeypatch.setattr(submission, "_SOONEST", 0.01)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("vendor", VENDORS)
async def test_where_the_vendors_reply_was_lost_its_batch_is_found_and_no_second_one_submitted(
    database, vendor
):
    model, service_of, spelled = VENDORS[vendor]
    service = service_of(lambda body: spelled(said(body)), looks=-1, on_taken=lambda _: reset())
    async with WireServer(vendor) as server:
        server.always(service)
        flow = asking(server.name(model))
        async with app_of(database, flow) as app:
            assert await app.run(flow, run_id="r") == TEXTS
            told = [each.outcome for each in await calls(app)]
    assert (len(service.jobs), service.listed) == (1, 1)
    assert told[:2] == ["wait", "found"]


@pytest.mark.usefixtures("soon")
async def test_a_batch_that_may_be_ours_is_waited_for_and_one_that_is_not_is_passed_over(database):
    others = Job("msgbatch_x", [("somebody-0", {}), ("somebody-1", {}), ("somebody-2", {})])
    service = MessageBatches(lambda body: succeeded(said(body) if body else "?"), looks=0)
    taken: list[Job] = []

    def refuse(job: Job) -> Reply | None:
        # The service fails and has taken nothing, while somebody else hands in a batch of the same size.
        taken.append(job)
        if len(taken) > 1:
            return None
        service.jobs.remove(job)
        service.jobs.append(others)
        return server_error()

    service.on_taken = refuse
    async with WireServer("anthropic") as server:
        server.always(service)
        flow = asking(server.name("claude-haiku-4-5"))
        async with app_of(database, flow) as app:
            run = await app.start(flow, run_id="r")
            await until(lambda: service.listed >= 3)
            assert service.jobs == [others]
            others.expired = True
            assert await run.result() == TEXTS
    assert service.jobs[0] is others
    assert not others.cancelled
    assert len(service.jobs) == 2


async def test_a_refused_batch_is_asked_one_by_one_and_leaves_the_breaker_closed(database):
    service = MessageBatches(lambda _: errored(), single=lambda request: ok(said(request.body)))
    service.trouble = [bad_request()]
    async with WireServer("anthropic") as server:
        server.always(service)
        flow = asking(server.name("claude-haiku-4-5"))
        async with app_of(database, flow) as app:
            assert await app.run(flow) == TEXTS
