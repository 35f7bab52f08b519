"""What a serving process works with: one database beside its owner, providers, keys, limits and the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from podium.app.admission import Admission
from podium.app.bookkeeping import Bookkeeper
from podium.app.database import make_database
from podium.app.gateway_status import StatusWriter
from podium.app.keys import Keyring
from podium.app.prices import Price, priced_by
from podium.app.requests import LogTrouble, RequestLog
from podium.app.targets import Targets
from podium.domain.errors import InvalidInput
from podium.domain.ids import new_run_id
from podium.domain.money import Money
from podium.domain.requests import ServedRequest
from podium.gateway.budgets.budgets import Budgets
from podium.gateway.chat import Chat
from podium.gateway.passage import Passages
from podium.ports.wire import Wire
from podium.providers.registry import Providers
from podium.settings import Settings
from podium.storage.budgets import StoredBudgets
from podium.storage.sqlite.database import open_sqlite

if TYPE_CHECKING:
    from podium.providers.scripted import Script


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything that requests are answered with.

    `public`: whether others than this machine can reach the server. Without any key made, a server that is not public
    is open to all who reach it. `complain` tells who serves of a failure, with what its client is not told.
    """

    settings: Settings
    public: bool
    keyring: Keyring
    targets: Targets
    admission: Admission
    wire: Wire
    chat: Chat
    passages: Passages
    log: RequestLog
    price: Price
    complain: Callable[[str], None]

    @property
    def is_open(self) -> bool:
        """Whether requests need no key."""
        return not self.public and not self.keyring.any_made


def _unheard(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Hearers:
    """Who is told of what happens while a server works.

    `told` hears of each batch of requests in the log, `warned` when that cannot be written, `complain` of failures with
    what their clients are not told.
    """

    told: Callable[[Sequence[ServedRequest]], None] | None = None
    warned: Callable[[LogTrouble], None] | None = None
    complain: Callable[[str], None] = _unheard


@asynccontextmanager
async def open_serving(
    database: Path,
    settings: Settings,
    environment: Mapping[str, str],
    *,
    public: bool = False,
    scripts: Mapping[str, Script] | None = None,
    price: Price | None = None,
    hearers: Hearers | None = None,
) -> AsyncIterator[Serving]:
    """Open everything, making the database if there is none; `hearers` are told of what happens.

    Raises `StorageUnavailable`, and `InvalidInput` or `CredentialMissing` for an alias that cannot be called.
    """
    server = settings.server
    hearers = hearers or Hearers()
    async with AsyncExitStack() as stack:
        await make_database(database)
        storage = await open_sqlite(database, settings=settings.storage, own=False)
        stack.push_async_callback(storage.close)
        providers = Providers(
            environment,
            scripts=scripts or {},
            credentials=settings.gateway.credentials,
            cassettes=settings.cassettes,
            prices=settings.prices,
        )
        stack.push_async_callback(providers.close)
        prices = price or priced_by(providers)
        wire = _wire(environment, server.connect)
        stack.push_async_callback(wire.close)
        targets = Targets(providers, wire, server.aliases)
        keyring = Keyring(storage, storage.version, refresh=server.refresh)
        stack.push_async_callback(keyring.close)
        await keyring.open()
        # This process: no other one settles what it holds.
        holder = new_run_id()
        budgets = Budgets(StoredBudgets(storage, holder), settings.gateway.budgets)
        stack.push_async_callback(budgets.close)

        def priced(served: ServedRequest) -> Money | None:
            known = served.usage.input_tokens or served.usage.output_tokens
            models = targets.find(served.model).models if known else ()
            return prices(models[0], served.usage) if len(models) == 1 else None

        log = RequestLog(
            storage,
            priced,
            every=server.flush,
            most=server.max_log_queue,
            told=hearers.told,
            warned=hearers.warned,
        )
        stack.push_async_callback(log.close)
        log.open()
        books = asyncio.create_task(Bookkeeper(storage, settings.retention).work())
        stack.push_async_callback(_ended, books)
        chat = Chat(providers, settings.gateway)
        status = StatusWriter(storage, chat, holder)
        stack.push_async_callback(status.close, asyncio.create_task(status.work()))
        yield Serving(
            settings,
            public,
            keyring,
            targets,
            Admission(budgets, prices, patience=server.patience, unpriced=settings.gateway.unpriced),
            wire,
            chat,
            Passages(chat.traffic),
            log,
            prices,
            hearers.complain,
        )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _wire(environment: Mapping[str, str], connect: float) -> Wire:
    try:
        from podium.providers.wire import OpenAIWire
    except ImportError:
        raise InvalidInput(
            "serving needs libraries that are not installed: pip install 'podium[server]'"
        ) from None
    return OpenAIWire(environment, connect)
