"""The log of requests: written in batches, beside the requests' own path, and listed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from podium.domain.errors import StorageUnavailable
from podium.domain.money import Money
from podium.domain.requests import ServedRequest
from podium.domain.runs import DEFAULT_TENANT
from podium.ports.storage import Storage
from podium.storage import requests


class Requests:
    """What the server has answered. Works beside a process that serves."""

    def __init__(self, storage: Storage, tenant: str = DEFAULT_TENANT) -> None:
        self._storage = storage
        self._tenant = tenant

    async def list(
        self, *, limit: int = 50, key: str | None = None, failed: bool = False
    ) -> Sequence[ServedRequest]:
        """Return the newest requests, newest first; those of one key's name, those that failed, or all."""
        return await self._storage.read(
            lambda conn: requests.list_requests(
                conn, tenant=self._tenant, limit=limit, key=key, failed=failed
            )
        )


class RequestLog:
    """Takes rows at once and writes them every `every` seconds, all that have come in together.

    `priced` says what a row without a cost has cost; it may take a moment, and is asked when rows are written.
    `told` is called with each batch that was written. While the database cannot be written, at most `most` rows wait;
    `dropped` counts those that were lost.
    """

    def __init__(
        self,
        storage: Storage,
        priced: Callable[[ServedRequest], Money | None],
        *,
        every: float,
        most: int,
        told: Callable[[Sequence[ServedRequest]], None] | None = None,
    ) -> None:
        self._storage = storage
        self._priced = priced
        self._every = every
        self._waiting: deque[ServedRequest] = deque(maxlen=most)
        self._told = told
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.dropped = 0

    def open(self) -> None:
        """Write what comes in, until closed."""
        self._task = asyncio.create_task(self._work())

    def note(self, served: ServedRequest) -> None:
        """Take a row."""
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(served)

    async def flush(self) -> None:
        """Write what has come in. Raises `StorageUnavailable`, and then keeps it for the next time."""
        batch = []
        while self._waiting:
            served = self._waiting.popleft()
            batch.append(served if served.cost is not None else replace(served, cost=self._priced(served)))
            if len(batch) % 100 == 0:
                # Requests go first.
                await asyncio.sleep(0)
        if not batch:
            return
        try:
            await self._storage.write(lambda conn: requests.add_requests(conn, batch))
        except StorageUnavailable:
            self._waiting.extendleft(reversed(batch))
            raise
        if self._told is not None:
            self._told(batch)

    async def close(self) -> None:
        """Write what is left."""
        # Not cancelled: it may be in the middle of a batch.
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        with contextlib.suppress(StorageUnavailable):
            await self.flush()

    async def _work(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._closing.wait()
            with contextlib.suppress(StorageUnavailable):
                await self.flush()
