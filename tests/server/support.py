"""A server on a free port of this machine, in the test's own event loop, and clients for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from openai import AsyncOpenAI

from podium.app.database import make_database, open_database
from podium.app.prices import Price
from podium.app.serving import Hearers, Serving, open_serving
from podium.domain.answers import Usage
from podium.domain.keys import KeyLimits
from podium.domain.money import Money
from podium.domain.requests import ServedRequest
from podium.providers import Script
from podium.server.reports import Reports
from podium.server.run import Server, config_of, listen
from podium.settings import GatewaySettings, PriceSettings, RetentionSettings, ServerSettings, Settings
from tests.wire import WireServer

QUICK = GatewaySettings(retries=0, retry_base=0.001, retry_cap=0.002)
NO_KEYS: Mapping[str, str] = {}


def dollar_a_token(name: str, usage: Usage) -> Money | None:
    """A price that is easy to reckon with: one dollar for each token of output, nothing for input."""
    del name
    return Money.usd(str(usage.output_tokens))


@dataclass(frozen=True, slots=True)
class TestedServer(Server):
    """A server with models that tests write down, and prices of their own."""

    __test__ = False

    scripts: Mapping[str, Script] = field(default_factory=dict)
    price: Price | None = None
    prices: PriceSettings = field(default_factory=PriceSettings)

    def opening(self) -> AbstractAsyncContextManager[Serving]:
        return open_serving(
            self.database,
            Settings(gateway=self.gateway, retention=self.retention, server=self.options, prices=self.prices),
            self.environment,
            public=self.public,
            scripts=self.scripts,
            price=self.price,
            hearers=Hearers(complain=Reports(as_json=False).failure),
        )


@dataclass(frozen=True, slots=True)
class Running:
    """A server at work."""

    origin: str
    database: Path
    uvicorn: uvicorn.Server

    def openai(self, key: str = "none", **options: object) -> AsyncOpenAI:
        """The official client, told nothing but where and with which key."""
        return AsyncOpenAI(base_url=f"{self.origin}/v1", api_key=key, **{"max_retries": 0, **options})  # type: ignore[arg-type]

    def http(self, key: str | None = None) -> httpx.AsyncClient:
        """A plain client."""
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return httpx.AsyncClient(base_url=self.origin, headers=headers, timeout=20)

    async def log(self, rows: int) -> list[ServedRequest]:
        """The log, oldest first, once it has so many rows."""
        async with asyncio.timeout(10), open_database(self.database) as opened:
            while len(found := await opened.requests.list(limit=1000)) < rows:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return list(reversed(found))


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    aliases: Mapping[str, str] | None = None,
    environment: Mapping[str, str] = NO_KEYS,
    scripts: Mapping[str, Script] | None = None,
    price: Price | None = None,
    gateway: GatewaySettings = QUICK,
    host: str = "127.0.0.1",
    public: bool = False,
    retention: RetentionSettings | None = None,
    prices: PriceSettings | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """Serve until left. `aliases` name one model each, or several with commas."""
    names = {name: tuple(models.split(",")) for name, models in (aliases or {}).items()}
    quick = {"refresh": 0.05, "flush": 0.05, "drain": 5.0, **options}
    settings = ServerSettings(aliases=names, **quick)
    database = folder / "podium.db"
    server = TestedServer(
        database,
        settings,
        environment,
        host,
        gateway=gateway,
        retention=retention or RetentionSettings(),
        scripts=scripts or {},
        price=price,
        prices=prices or PriceSettings(),
    )
    bound = listen(host, 0)
    config = config_of(replace(server, host="0.0.0.0" if public else host))
    running = uvicorn.Server(config)
    task = asyncio.create_task(running._serve([bound]))
    try:
        async with asyncio.timeout(20):
            while not running.started:
                assert not task.done(), task.result()
                await asyncio.sleep(0.005)
        yield Running(f"http://{host}:{bound.getsockname()[1]}", database, running)
    finally:
        running.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
        bound.close()


async def new_key(folder: Path, name: str = "tests", **limits: object) -> str:
    """Make a key in the folder's database, and return its token."""
    database = folder / "podium.db"
    await make_database(database)
    async with open_database(database) as opened:
        _, token = await opened.keys.create(name, KeyLimits(**limits))  # type: ignore[arg-type]
        return token


async def revoke_key(folder: Path, name: str = "tests") -> None:
    """Revoke a key in the folder's database."""
    async with open_database(folder / "podium.db") as opened:
        await opened.keys.revoke(name)


def openai_at(wire: WireServer) -> dict[str, str]:
    """The environment in which `openai:` models are at this wire server."""
    return {"OPENAI_API_KEY": "sk-upstream-secret", "OPENAI_BASE_URL": wire.url}
