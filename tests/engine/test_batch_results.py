"""Results of a vendor's batch that are too many, twice there, or oddly counted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from podium import Budget, GatewaySettings, ModelPrice, PriceSettings
from podium.gateway.batches import batching
from podium.providers import batches
from podium.providers.bounds import Bounds
from tests.support.batches import TEXTS, app_of, asking, calls, said, uses
from tests.wire import Received, Reply, WireServer, ok
from tests.wire.batches import ResponseBatches, answered
from tests.wire.replies import Raw

Spoil = Callable[[bytes], tuple[bytes, tuple[tuple[str, str], ...]]]


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors are looked at every few milliseconds, and results are read up to 300,000 bytes, 10,000 in a line."""
    monkeypatch.setattr(batching, "_FIRST_LOOK", 0.01)
    monkeypatch.setattr(batching, "_RAREST_LOOK", 0.02)
    monkeypatch.setattr(batches, "_bounds", lambda _: Bounds(10_000, 300_000))


class Spoiling(ResponseBatches):
    """Sends what `spoil` makes of the results."""

    spoil: Spoil

    def batches(self, request: Received, path: str) -> Reply | None:
        told = super().batches(request, path)
        if isinstance(told, Raw) and path.endswith("/content") and "out:" in path:
            body, headers = self.spoil(told.body)
            return replace(told, body=body, headers=headers)
        return told


def lines(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.split(b"\n")]


def joined(*results: Any) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in results)


async def outcomes(database: Any, spoil: Spoil, **options: Any) -> tuple[list[str], list[Any]]:
    """Run a batch of three whose results are spoilt; return its values and its attempts."""
    service = Spoiling(lambda body: answered(said(body)), single=lambda _: ok("alone"))
    service.spoil = spoil
    async with WireServer("openai") as server:
        server.always(service)
        flow = asking(server.name("gpt-5-mini"))
        prices = PriceSettings({server.name("gpt-5-mini"): ModelPrice(10, 10)})
        async with app_of(database, flow, prices=prices, **options) as app:
            return await app.run(flow, run_id="r"), await calls(app)


@pytest.mark.parametrize("count", [-(10**9), 10**15, "many", 1e300])
async def test_what_is_counted_oddly_costs_what_was_set_aside_for_it(database, count):
    def odd(body: bytes) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        first, *others = lines(body)
        told = {"input_tokens": count, "output_tokens": count, "total_tokens": count}
        first["response"]["body"]["usage"] |= told
        return joined(first, *others), ()

    found, told = await outcomes(
        database, odd, gateway=GatewaySettings(budgets=(Budget("$1/day"), Budget("1m tokens/day")))
    )
    assert found == TEXTS
    costs = [each.cost for each in told if each.outcome == "accepted"]
    assert [each.estimated for each in told if each.outcome == "accepted"] == [False, False, True]
    assert costs[0] == costs[1]
    assert costs[2] is not None
    # It may have written all of its 100 tokens.
    assert costs[2].nanos >= 100 * 10_000
    money, tokens = await uses(database)
    assert money == (sum(each.nanos for each in costs if each is not None), 0)
    spent = [each.usage for each in told if each.outcome == "accepted"]
    assert tokens == (sum(each.input_tokens + each.output_tokens for each in spent), 0)
    assert money[0] == tokens[0] * 10_000


@pytest.mark.parametrize(
    ("after", "says"),
    [(b"z" * 20_000, "more than 10000 bytes in one line"), (b"\n" * 700_000, "more than 300000 bytes")],
)
async def test_beyond_the_bound_what_is_left_is_asked_for_one_by_one(database, after, says):
    found, told = await outcomes(database, lambda body: (body.split(b"\n")[0] + b"\n" + after, ()))
    assert found == ["alone", "alone", "letter"]
    assert [each.outcome for each in told].count("next") == 2
    assert all(says in each.message for each in told if each.outcome == "next")


async def test_a_bomb_is_read_up_to_the_bound(database):
    packed = gzip.compress(b" " * 50_000_000)
    found, told = await outcomes(database, lambda _: (packed, (("content-encoding", "gzip"),)))
    assert found == ["alone"] * 3
    assert [each.outcome for each in told].count("next") == 3


async def test_the_first_valid_result_of_a_request_stands(database):
    def twice(body: bytes) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        results = lines(body)
        unread = [{**each, "response": {"status_code": 200, "body": {"output": 5}}} for each in results]
        other = [{**each, "response": {"status_code": 200, "body": answered("other")}} for each in results]
        return joined(*unread, *results, *other), ()

    found, told = await outcomes(database, twice)
    assert found == TEXTS
    assert [each.outcome for each in told].count("accepted") == 3
