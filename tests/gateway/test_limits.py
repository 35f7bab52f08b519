"""Limits per minute and at once: never exceeded, waited for where that fits, passed over where it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.domain.answers import FailureKind
from podium.domain.errors import Retryable
from podium.gateway import prompt
from podium.gateway.limits.rate import Rate
from podium.ports.models import ModelRequest
from podium.providers import Script
from podium.settings.resilience import Limits
from tests.gateway.support import models, scripted


def say(*names: str, **options: Any) -> Any:
    return prompt("say", "{text}", models=models(*names), **options)


@given(
    st.integers(1, 600),
    st.lists(st.tuples(st.floats(0, 90), st.floats(0.1, 700), st.booleans()), max_size=30),
)
def test_no_minute_takes_more_than_a_full_bucket_and_what_flows_in(
    per_minute: int, wishes: list[tuple[float, float, bool]]
):
    rate, now, taken = Rate(per_minute), 0.0, 0.0
    for pause, amount, waits in wishes:
        now += pause
        ready = rate.ready_at(amount, now)
        assert now <= ready <= now + 60.0 + 1e-6
        if waits:
            now = ready
        if ready <= now:
            took = min(amount, per_minute)
            rate.take(took, now)
            taken += took
        assert taken <= per_minute * (1 + now / 60.0) + 1e-3
        assert -1e-3 <= rate.left(now) <= per_minute


def test_what_is_given_back_never_overfills():
    rate = Rate(60)
    rate.take(-100, 1.0)
    assert rate.left(1.0) == 60


async def test_requests_beyond_the_limit_wait_for_their_minute():
    desk = scripted(a=lambda _: "Yes.", settings={"provider_limits": {"scripted": Limits(requests=2)}})
    for _ in range(3):
        answer = await desk.ask(say("a"), text="hi")
    assert desk.clock.waits == [pytest.approx(30.0)]
    assert desk.story == [
        ("scripted:a", None, "accepted"),
        ("scripted:a", None, "accepted"),
        ("scripted:a", "limited", "wait"),
        ("scripted:a", None, "accepted"),
    ]
    assert answer.attempts[0].message == "provider scripted may use 2 requests a minute"
    assert answer.attempts[1].message == "waited 30.0 s"


async def test_a_limit_that_does_not_fit_the_deadline_is_the_runs_to_wait_for():
    desk = scripted(
        a=lambda _: "Yes.",
        settings={"tenant_limits": {"default": Limits(requests=1)}},
    )
    await desk.ask(say("a"), text="hi")
    with pytest.raises(Retryable, match="tenant default may use 1 requests a minute") as raised:
        await desk.ask(say("a", timeout=5), text="hi")
    assert raised.value.retry_after == pytest.approx(60.0)
    assert desk.recorded[-1].failure is FailureKind.LIMITED


async def test_tokens_are_reserved_by_estimate_and_settled_by_count():
    script = Script(lambda _: "Yes.")
    desk = scripted(a=script, settings={"provider_limits": {"*": Limits(tokens=2000)}})
    for _ in range(10):
        await desk.ask(say("a", max_tokens=500), text="x" * 400)
    # Ten estimates are more than twice a minute's tokens; what was counted is two words for each.
    assert desk.clock.waits == []
    (limited,) = desk.gateway.traffic.limiter.all()
    assert limited.tokens is not None
    assert limited.tokens.left(desk.clock.now) == 2000 - 10 * 2


async def test_no_more_requests_are_on_their_way_than_allowed():
    now, most = 0, 0
    three = asyncio.Barrier(3)

    async def slow(request: ModelRequest) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await three.wait()
        await asyncio.sleep(0.002)
        now -= 1
        return "Yes."

    desk = scripted(a=slow, settings={"provider_limits": {"scripted": Limits(concurrency=3)}})
    answers = await asyncio.gather(*(desk.ask(say("a"), text="hi") for _ in range(42)))
    assert [answer.value for answer in answers] == ["Yes."] * 42
    assert most == 3


async def test_a_cancelled_call_gives_its_place_back():
    begun = asyncio.Event()

    async def endless(request: ModelRequest) -> str:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    script = Script([endless, "Yes."])
    desk = scripted(a=script, settings={"provider_limits": {"scripted": Limits(concurrency=1)}})
    first = asyncio.create_task(desk.ask(say("a"), text="hi"))
    await begun.wait()
    second = asyncio.create_task(desk.ask(say("a"), text="hi"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).value == "Yes."
