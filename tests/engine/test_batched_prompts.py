"""Many calls at once: by a vendor's batch where there is one, one by one where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest

from podium import Answer, InvalidInput, NoAnswer, NotInRun, RunFailed, prompt, workflow
from podium.domain.answers import FailureKind
from podium.gateway.batches import batching
from podium.ports.models import ModelFailure, ModelRequest
from podium.providers import Script
from tests.support.apps import App, app_on, until
from tests.wire import WireServer, not_found, ok, unavailable
from tests.wire.batches import MessageBatches, errored, expired, succeeded


class Intent(Enum):
    REFUND = "refund"
    BUG = "bug"


TEXTS = ["money", "crash", "money back"]
ITEMS = [{"text": text} for text in TEXTS]
classify = prompt("classify", "Classify: {text}", output=Intent, models=["scripted:a"], retries=0, reasks=0)


def intent_of(text: str) -> str:
    return '{"value": "refund"}' if "money" in text else '{"value": "bug"}'


def shown(outcomes: list[Any]) -> list[Any]:
    return [one.value if isinstance(one, Answer) else type(one).__name__ for one in outcomes]


@workflow
async def sort() -> list[str]:
    return [str(one) for one in shown(await classify.batch(ITEMS))]


async def test_without_vendor_batches_each_is_asked_for_and_results_are_in_order(database):
    async def answer(request: ModelRequest) -> str:
        await asyncio.sleep(0.02 if "money" in request.messages[-1].text else 0)
        return intent_of(request.messages[-1].text)

    async with app_on(database, sort, scripts={"a": Script(answer)}) as app:
        assert await app.run(sort) == ["Intent.REFUND", "Intent.BUG", "Intent.REFUND"]


async def test_a_call_that_fails_leaves_its_error_and_the_others_their_answers(database):
    def answer(request: ModelRequest) -> Any:
        if "crash" in request.messages[-1].text:
            return ModelFailure(FailureKind.BAD_REQUEST, "not this one")
        return intent_of(request.messages[-1].text)

    @workflow
    async def kept() -> list[str]:
        outcomes = await classify.batch(ITEMS)
        assert isinstance(outcomes[1], NoAnswer)
        return [str(outcomes[1]), *(str(one) for one in shown(outcomes))]

    async with app_on(database, kept, scripts={"a": Script(answer)}) as app:
        error, *rest = await app.run(kept)
    assert "not this one" in error
    assert rest == ["Intent.REFUND", "NoAnswer", "Intent.REFUND"]


async def test_no_more_are_asked_at_a_time_than_allowed(database):
    now = most = 0
    three = asyncio.Barrier(3)

    async def answer(_: ModelRequest) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await three.wait()
        await asyncio.sleep(0.005)
        now -= 1
        return '{"value": "bug"}'

    @workflow
    async def many() -> int:
        return len(await classify.batch([{"text": str(n)} for n in range(12)], concurrency=3))

    async with app_on(database, many, scripts={"a": Script(answer)}) as app:
        assert await app.run(many) == 12
    assert most == 3


async def test_an_empty_batch_asks_nothing(database):
    @workflow
    async def none() -> int:
        return len(await classify.batch([]))

    async with app_on(database, none, scripts={"a": Script([])}) as app:
        assert await app.run(none) == 0


async def test_wrong_variables_are_refused_before_anything_is_asked(database):
    script = Script([])

    @workflow
    async def wrong() -> None:
        await classify.batch([{"text": "x"}, {"txt": "y"}])

    async with app_on(database, wrong, scripts={"a": script}) as app:
        with pytest.raises(RunFailed, match="item 1 of a batch"):
            await app.run(wrong)
    assert script.requests == []


async def test_a_batch_needs_a_run():
    with pytest.raises(NotInRun):
        await classify.batch(ITEMS)
    with pytest.raises((NotInRun, InvalidInput)):
        await classify.batch(ITEMS, concurrency=0)


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors are looked at every few milliseconds."""
    monkeypatch.setattr(batching, "_FIRST_LOOK", 0.01)
    monkeypatch.setattr(batching, "_RAREST_LOOK", 0.02)


def result_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return succeeded(intent_of(str(params["messages"])))


def sorting(server: WireServer) -> Any:
    vendor = prompt(
        "classify",
        "Classify: {text}",
        output=Intent,
        models=[server.name("claude-haiku-4-5")],
        retries=0,
        reasks=0,
    )

    @workflow(name="sorting")
    async def sorting() -> list[str]:
        return [str(one) for one in shown(await vendor.batch(ITEMS))]

    return sorting


def vendor_app(database: Any, flow: Any) -> App:
    return app_on(database, flow, environment={"ANTHROPIC_COMPATIBLE_API_KEY": "key"})


@pytest.mark.usefixtures("quick_looks")
async def test_a_vendors_batch_is_handed_in_once_and_collected_in_order(database):
    async with WireServer("anthropic") as server:
        flow = sorting(server)
        service = MessageBatches(result_of, looks=2)
        server.always(service)
        async with vendor_app(database, flow) as app:
            assert await app.run(flow, run_id="r") == [
                "Intent.REFUND",
                "Intent.BUG",
                "Intent.REFUND",
            ]
            told = repr(await app.timeline("r"))
        assert [len(batch) for batch in service.submitted] == [3]
        assert service.looked >= 3
        assert "claude-haiku-4-5" in told


@pytest.mark.usefixtures("quick_looks")
async def test_after_a_restart_the_same_batch_is_looked_for_and_none_is_made_anew(database):
    async with WireServer("anthropic") as server:
        flow = sorting(server)
        service = MessageBatches(result_of, looks=10**9)
        server.always(service)
        async with vendor_app(database, flow) as app:
            await app.start(flow, run_id="r")
            await until(lambda: service.looked >= 2)
        service.looks = 0
        async with vendor_app(database, flow) as app:
            assert await (await app.get("r")).result() == ["Intent.REFUND", "Intent.BUG", "Intent.REFUND"]
        assert len(service.submitted) == 1


@pytest.mark.usefixtures("quick_looks")
async def test_what_a_batch_did_not_answer_is_asked_for_by_itself(database):
    results = iter([succeeded('{"value": "refund"}'), errored("overloaded_error", "busy"), expired()])
    single = iter([ok('{"value": "bug"}'), ok("no idea")])
    async with WireServer("anthropic") as server:
        flow = sorting(server)
        service = MessageBatches(lambda _: next(results), looks=0, single=lambda _: next(single))
        server.always(service)
        async with vendor_app(database, flow) as app:
            outcomes = await app.run(flow)
    # The first of the results is that of the last line, since the service answers in another order.
    assert sorted(outcomes) == ["Intent.BUG", "Intent.REFUND", "NoAnswer"]


async def test_a_vendor_that_takes_no_batches_after_all_is_asked_one_by_one(database):
    async with WireServer("anthropic") as server:
        flow = sorting(server)
        single = iter([ok('{"value": "bug"}')] * 3)
        server.always(lambda request: not_found() if "batches" in request.path else next(single))
        async with vendor_app(database, flow) as app:
            assert await app.run(flow) == ["Intent.BUG"] * 3


@pytest.mark.usefixtures("quick_looks")
async def test_a_vendor_that_is_down_for_a_moment_is_asked_again(database):
    async with WireServer("anthropic") as server:
        flow = sorting(server)
        service = MessageBatches(result_of, looks=0)
        server.reply(unavailable())
        server.always(service)
        async with vendor_app(database, flow) as app:
            assert await app.run(flow) == ["Intent.REFUND", "Intent.BUG", "Intent.REFUND"]
        assert len(service.submitted) == 1
