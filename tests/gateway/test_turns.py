"""Those who wait for limits are served in the order in which they came, and nobody's turn is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.domain.errors import Retryable
from podium.gateway import Gateway, prompt
from podium.ports.models import ModelRequest
from podium.providers import Providers, Script
from podium.settings.gateway import GatewaySettings
from podium.settings.resilience import Limits
from tests.gateway.support import Clock, ask, models, scripted

TURNS_OF_THE_LOOP = 40


class Office:
    """A model behind limits, whose replies are given one by one; `served` are the texts of requests in their order."""

    def __init__(self, *names: str, timeout: float = 30, **limits: Any) -> None:
        self.served: list[str] = []
        self.under_way: deque[asyncio.Future[None]] = deque()
        self.calls: dict[str, asyncio.Task[Any]] = {}
        scripts = {name: Script(self._serve) for name in names or ("a",)}
        options = limits or {"provider_limits": {"*": Limits(concurrency=2)}}
        self._gateway = Gateway(Providers({}, scripts=scripts), GatewaySettings(**options))
        self._say = prompt("say", "{text}", models=models(*(names or ("a",))), timeout=timeout)

    async def _serve(self, request: ModelRequest) -> str:
        self.served.append(request.messages[-1].text)
        done = asyncio.get_running_loop().create_future()
        self.under_way.append(done)
        try:
            await done
        finally:
            self.under_way.remove(done)
        return "Yes."

    async def come(self, text: str) -> None:
        self.calls[text] = asyncio.create_task(ask(self._gateway, self._say, {"text": text}, []))
        await settled()

    async def finish_one(self) -> None:
        if self.under_way:
            self.under_way[0].set_result(None)
        await settled()

    async def leave(self, text: str) -> None:
        self.calls[text].cancel()
        await settled()

    async def close(self) -> None:
        while self.under_way:
            await self.finish_one()
        await asyncio.gather(*self.calls.values(), return_exceptions=True)


async def settled() -> None:
    for _ in range(TURNS_OF_THE_LOOP):
        await asyncio.sleep(0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.just("come"), st.just("finish"), st.integers(0, 30)), max_size=40))
def test_whatever_happens_the_order_is_that_of_arrival_and_no_place_stays_empty(
    happenings: list[str | int],
):
    async def live() -> None:
        office = Office()
        came: list[str] = []
        left: set[str] = set()
        for happening in happenings:
            if happening == "come":
                came.append(str(len(came)))
                await office.come(came[-1])
            elif happening == "finish":
                await office.finish_one()
            elif isinstance(happening, int) and happening < len(came):
                left.add(came[happening])
                await office.leave(came[happening])
            wait = [text for text in came if text not in left and text not in office.served]
            assert not wait or len(office.under_way) == 2
        await office.close()
        assert office.served == [text for text in came if text in office.served]
        assert set(came) - set(office.served) <= left

    asyncio.run(live())


async def test_who_comes_just_when_a_place_is_free_goes_behind_those_who_wait():
    office = Office(provider_limits={"*": Limits(concurrency=1)})
    for text in ("first", "waits"):
        await office.come(text)
    office.under_way[0].set_result(None)
    # In the same moment, before whoever waits could look.
    office.calls["late"] = asyncio.create_task(ask(office._gateway, office._say, {"text": "late"}, []))
    await settled()
    assert office.served == ["first", "waits"]
    await office.close()
    assert office.served == ["first", "waits", "late"]


async def test_who_runs_out_of_time_leaves_and_the_next_has_the_turn():
    office = Office(provider_limits={"*": Limits(concurrency=1)})
    await office.come("first")
    office._say = prompt("say", "{text}", models=models("a"), timeout=0.05)
    await office.come("hurried")
    office._say = prompt("say", "{text}", models=models("a"), timeout=30)
    await office.come("patient")
    with pytest.raises(Retryable, match="as many as it may"):
        await office.calls["hurried"]
    await office.finish_one()
    assert office.served == ["first", "patient"]
    await office.close()


async def test_a_place_that_becomes_free_in_the_last_second_is_still_used():
    office = Office(timeout=0.5, provider_limits={"*": Limits(concurrency=1)})
    await office.come("first")
    await office.come("second")
    await office.finish_one()
    assert office.served == ["first", "second"]
    await office.close()


async def test_whoever_waits_for_one_limit_keeps_nobody_from_another():
    office = Office(
        "a",
        "b",
        provider_limits={"*": Limits(concurrency=9)},
        tenant_limits={"default": Limits(concurrency=1)},
    )
    await office.come("first")
    await office.come("waits for its tenant")
    limits = {each.scope: each for each in office._gateway.traffic.limiter.all()}
    assert limits["tenant default"].turns.ahead_of(None) == 1
    assert limits["provider scripted"].turns.ahead_of(None) == 0
    await office.close()


async def test_a_small_request_does_not_pass_a_large_one_that_waits_for_its_tokens():
    served: list[str] = []

    async def note(request: ModelRequest) -> str:
        served.append(request.messages[-1].text[:5])
        return "Yes."

    clock = Clock()
    desk = scripted(clock, a=note, settings={"provider_limits": {"*": Limits(tokens=1000)}})
    lane_limits = desk.gateway.traffic.limiter.of("scripted", "", "default")
    lane_limits[0].take(1000, clock.now)

    def say(max_tokens: int) -> Any:
        return prompt("say", "{text}", models=models("a"), max_tokens=max_tokens)

    await asyncio.gather(desk.ask(say(900), text="large"), desk.ask(say(1), text="small"))
    assert served == ["large", "small"]
