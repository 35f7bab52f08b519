"""What a provider loads before its first request does not count against a call's deadline."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace

from podium import prompt
from podium.domain.answers import FailureKind
from podium.providers import Providers, Script
from tests import wire
from tests.gateway.support import Clock, Desk, failure


class Slow(Providers):
    """Models whose libraries take seconds to load, each once."""

    def __init__(self, clock: Clock, seconds: float, **scripts: Script) -> None:
        super().__init__({}, scripts=scripts)
        self._clock = clock
        self._seconds = seconds
        self.loaded: list[str] = []

    def routes(self, name: str):
        async def load() -> None:
            self.loaded.append(name)
            await self._clock.sleep(self._seconds)

        return [replace(route, load=load) for route in super().routes(name)]


async def test_a_call_has_its_whole_time_after_loading():
    clock = Clock()
    desk = Desk(Slow(clock, 30.0, slow=Script(["hello"])), clock=clock)
    answer = await desk.ask(prompt("greet", "Say {what}.", models=["scripted:slow"], timeout=5), what="hello")
    assert answer.value == "hello"
    assert clock.waits == [30.0]


async def test_only_who_is_asked_is_loaded_and_a_fallback_too_does_not_lose_its_time():
    clock = Clock()
    providers = Slow(
        clock,
        30.0,
        broken=Script([failure(FailureKind.NOT_FOUND)]),
        slow=Script(["hello"]),
        other=Script(["x"]),
    )
    desk = Desk(providers, clock=clock)
    names = ["scripted:broken", "scripted:slow", "scripted:other"]
    answer = await desk.ask(prompt("greet", "Say {what}.", models=names, timeout=5, retries=0), what="hello")
    assert answer.value == "hello"
    assert providers.loaded == names[:2]


PROGRAM = """
import asyncio, importlib.abc, sys, threading, time
from podium import prompt
from podium.gateway import Gateway
from podium.providers import Providers
from podium.settings.gateway import GatewaySettings
from tests.gateway.support import ask

class Late(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "pydantic_ai" and threading.current_thread() is not threading.main_thread():
            time.sleep(0.9)
            time.sleep(0.9)
        return None

sys.meta_path.insert(0, Late())
gateway = Gateway(Providers({}), GatewaySettings())
greet = prompt("greet", "Say {what}.", models=[sys.argv[1]], timeout=1.5)
print(asyncio.run(ask(gateway, greet, {"what": "hello"}, [])).value)
"""


async def test_the_first_call_of_a_process_is_not_lost_to_the_vendors_library():
    async with wire.WireServer("openai") as server:
        server.reply(wire.ok("hello"))
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", PROGRAM, server.name()],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.strip() == "hello", done.stderr
