"""Hedges: a second request when the first is unusually late, rarely, and never for nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from podium.domain.answers import FailureKind, Usage
from podium.domain.errors import NoAnswer
from podium.domain.money import Money
from podium.gateway import Gateway, Prompt, prompt
from podium.gateway.chat import Chat
from podium.ports.models import (
    CallLimits,
    Counted,
    Message,
    ModelFailure,
    ModelRequest,
    Role,
    TextDelta,
    Tool,
)
from podium.providers import Providers, Script
from podium.settings.gateway import GatewaySettings
from podium.settings.resilience import HedgeSettings
from tests.gateway.support import ask, failure, models

QUICK, LATE = 0.001, 30.0


class Service:
    """A model that answers `seconds` after an event, and counts what was begun, cancelled and answered."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.seconds = QUICK
        self.begun = self.cancelled = 0
        self.counts: Counted | None = None
        self.mutters = ""
        self.fails = False
        self.asked, self.answered = asyncio.Event(), asyncio.Event()
        self.after: asyncio.Event | None = None

    async def __call__(self, request: ModelRequest) -> Any:
        self.begun += 1
        self.asked.set()
        if self.mutters and request.on_delta is not None:
            request.on_delta(TextDelta(self.mutters))
        try:
            if self.after is not None:
                await self.after.wait()
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            if self.counts is not None and request.on_counted is not None:
                request.on_counted(self.counts)
            raise
        self.answered.set()
        return failure(FailureKind.INTERNAL) if self.fails else self.word


class Desk:
    """A gateway over two services, the first of which has answered often enough to be known."""

    def __init__(self, share: float = 0.5, **options: Any) -> None:
        self.a, self.b = Service("from a"), Service("from b")
        scripts = {"a": Script(self.a), "b": Script(self.b)}
        hedging = HedgeSettings(least=5, share=share)
        self.gateway = Gateway(Providers({}, scripts=scripts), GatewaySettings(hedging=hedging))
        self.recorded: list[Any] = []
        self.say: Prompt[str] = prompt("say", "{text}", models=models("a", "b"), **options)
        # How long the first takes is learned without a deadline, however slow this machine is now.
        self.learn: Prompt[str] = prompt("learn", "{text}", models=models("a", "b"))

    async def ask(self, say: Prompt[str] | None = None) -> Any:
        return await ask(self.gateway, say or self.say, {"text": "hi " * 20}, self.recorded)

    async def known(self) -> Desk:
        for _ in range(10):
            await self.ask(self.learn)
        self.recorded.clear()
        return self


async def test_a_late_request_is_raced_and_the_loser_cancelled_and_billed():
    desk = await Desk(hedge=True).known()
    desk.a.seconds = LATE
    answer = await desk.ask()
    assert answer.value == "from b"
    assert (desk.a.cancelled, desk.b.begun) == (1, 1)
    lost, won = answer.attempts
    assert (lost.model, lost.outcome, won.model, won.outcome) == (
        "scripted:a",
        "hedged",
        "scripted:b",
        "accepted",
    )
    assert lost.usage.input_tokens > 10
    assert lost.estimated
    assert not won.estimated
    assert lost.message == "another answered first; cancelled, its tokens estimated"
    assert answer.usage.input_tokens == lost.usage.input_tokens + won.usage.input_tokens
    assert [lane.on_the_way for lane in desk.gateway.traffic.lanes.values()] == [0, 0]


async def test_what_the_provider_had_counted_of_the_loser_is_what_it_is_billed_for():
    desk = await Desk(hedge=True).known()
    desk.a.seconds, desk.a.counts = LATE, Counted(Usage(37, 1), Money(123), "genai-prices 1")
    lost, _ = (await desk.ask()).attempts
    assert (lost.usage, lost.cost, lost.price_table) == (Usage(37, 1), Money(123), "genai-prices 1")
    assert (lost.estimated, lost.message) == (
        False,
        "another answered first; cancelled, its tokens counted by the provider",
    )


async def test_what_the_loser_had_written_is_billed_too_counted_or_not():
    desk = await Desk(hedge=True).known()
    desk.a.seconds, desk.a.counts, desk.a.mutters = LATE, Counted(Usage(37, 1)), "word " * 40
    lost, _ = (await desk.ask()).attempts
    assert lost.usage == Usage(37, 50)
    assert lost.estimated


async def test_a_request_with_tools_is_never_raced_because_both_would_call_them():
    a, b = Service("from a"), Service("from b")
    hedging = HedgeSettings(least=5, share=0.5)
    providers = Providers({}, scripts={"a": Script(a), "b": Script(b)})
    chat = Chat(providers, GatewaySettings(hedge=True, hedging=hedging))
    request = ModelRequest((Message(Role.USER, "hi"),), CallLimits(0.2))
    for _ in range(10):
        await chat.reply(models("a", "b"), request)
    a.seconds = LATE
    assert (await chat.reply(models("a", "b"), request)).reply.text == "from b"
    begun = b.begun
    with pytest.raises(ModelFailure):
        await chat.reply(models("a", "b"), replace(request, tools=(Tool("send", "", {"type": "object"}),)))
    assert b.begun == begun


async def test_who_is_merely_later_may_still_win():
    desk = await Desk(hedge=True).known()
    desk.a.after, desk.b.seconds = desk.b.asked, LATE
    assert (await desk.ask()).value == "from a"
    assert (desk.b.begun, desk.b.cancelled) == (1, 1)


async def test_a_rival_that_fails_ends_no_race():
    desk = await Desk(hedge=True).known()
    desk.a.after, desk.a.seconds, desk.b.fails = desk.b.answered, 0.02, True
    answer = await desk.ask()
    assert answer.value == "from a"
    assert [(each.failure, each.outcome) for each in answer.attempts] == [
        (FailureKind.INTERNAL, "hedged"),
        (None, "accepted"),
    ]


async def test_where_both_fail_the_call_goes_on_as_without_a_race():
    desk = await Desk(hedge=True).known()
    desk.a.after, desk.a.seconds, desk.a.fails, desk.b.fails = desk.b.answered, 0.02, True, True
    with pytest.raises(NoAnswer):
        await desk.ask()
    assert [each.outcome for each in desk.recorded] == ["hedged", "next", "fail"]


async def test_by_default_nothing_is_hedged():
    desk = await Desk(timeout=0.1).known()
    desk.a.seconds = LATE
    with pytest.raises(NoAnswer):
        await desk.ask()
    assert desk.b.begun == 0


async def test_hedges_are_a_share_of_the_traffic_and_no_more():
    desk = await Desk(share=0.1, hedge=True, timeout=1).known()
    desk.a.seconds = LATE
    assert (await desk.ask()).value == "from b"
    others = await asyncio.gather(*(desk.ask() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in others] == [NoAnswer] * 3
    assert desk.b.begun == 1


async def test_a_call_that_is_cancelled_leaves_nothing_running():
    desk = await Desk(hedge=True).known()
    desk.a.seconds = desk.b.seconds = LATE
    call = asyncio.create_task(desk.ask())
    await desk.b.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0.01)
    assert (desk.a.cancelled, desk.b.cancelled) == (1, 1)
    assert [lane.on_the_way for lane in desk.gateway.traffic.lanes.values()] == [0, 0]
