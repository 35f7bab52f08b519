"""How a server stands with its upstreams is seen from outside, as for a worker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

from podium.app.database import open_database
from podium.domain.gateway_status import GatewayStatus
from podium.domain.states import BreakerState
from podium.settings import Limits
from tests.server.support import QUICK, openai_at, serving
from tests.wire import WireServer, server_error

ASK: Any = {"model": "openai:x", "messages": [{"role": "user", "content": "Hello?"}]}


async def servers(database) -> list[GatewayStatus]:
    async with open_database(database) as opened:
        return list(await opened.gateway.servers())


def status_of(database, *options: str) -> str:
    command = [sys.executable, "-m", "podium.cli", "gateway", "status", "--db", str(database), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


async def test_breakers_and_limits_of_a_server_are_shown_while_it_serves(tmp_path):
    gateway = replace(QUICK, provider_limits={"*": Limits(requests=600)})
    async with (
        WireServer() as wire,
        serving(tmp_path, environment=openai_at(wire), gateway=gateway) as server,
        server.http() as client,
    ):
        wire.always(server_error())
        for _ in range(6):
            await client.post("/v1/chat/completions", json=ASK)
        async with asyncio.timeout(10):
            while not (found := await servers(server.database)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        shown = await asyncio.to_thread(status_of, server.database)
        as_json = await asyncio.to_thread(status_of, server.database, "--json")
    (status,) = found
    (lane,) = status.lanes
    assert (lane.breaker, lane.credential) == (BreakerState.OPEN, "OPENAI_API_KEY")
    (limit,) = status.limits
    assert limit.requests == 600
    assert "which serves" in shown
    assert "open" in shown
    (told,) = json.loads(as_json)["servers"]
    assert told["lanes"][0]["breaker"] == "open"
    assert await servers(server.database) == []
