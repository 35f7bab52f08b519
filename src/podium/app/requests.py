"""The log of requests: written in batches, beside the requests' own path, and listed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from podium.domain.money import Money
from podium.domain.requests import ServedRequest
from podium.domain.runs import DEFAULT_TENANT
from podium.ports.storage import Storage
from podium.storage import requests

_REMIND = 30.0


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


@dataclass(frozen=True, slots=True)
class LogTrouble:
    """The log cannot be written, or can be again; `waiting` rows are kept for the next try, `dropped` ones are lost.

    `why` is None once it can be written again.
    """

    why: str | None
    waiting: int
    dropped: int

    @property
    def message(self) -> str:
        """One line for people."""
        counts = f"{self.waiting} rows wait, {self.dropped} were lost"
        if self.why is None:
            return f"the log of requests is written again: {counts}"
        return f"the log of requests cannot be written: {counts}. {self.why}"


class RequestLog:
    """Takes rows at once and writes them every `every` seconds, all that have come in together.

    `priced` says what a row without a cost has cost; it may take a moment, and is asked when rows are written.
    `told` is called with each batch, once, whether or not it can be written. While the database cannot be written, at
    most `most` rows wait; `dropped` counts those that were lost, and `trouble` is what stands in the way. `warned`
    hears of trouble when it begins, while it loses rows, when it ends, and when rows are lost at the end.
    """

    def __init__(
        self,
        storage: Storage,
        priced: Callable[[ServedRequest], Money | None],
        *,
        every: float,
        most: int,
        told: Callable[[Sequence[ServedRequest]], None] | None = None,
        warned: Callable[[LogTrouble], None] | None = None,
    ) -> None:
        self._storage = storage
        self._priced = priced
        self._every = every
        self._most = most
        self._come: deque[ServedRequest] = deque(maxlen=most)
        self._waiting: deque[ServedRequest] = deque()
        self._told = told
        self._warned = warned
        self._warned_at = float("-inf")
        self._warned_of: LogTrouble | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._why: str | None = None
        self.dropped = 0

    @property
    def trouble(self) -> LogTrouble | None:
        """Why the log cannot be written at the moment, None when it can."""
        return None if self._why is None else self._state()

    @property
    def waiting(self) -> int:
        """How many rows are not yet written."""
        return len(self._come) + len(self._waiting)

    def open(self) -> None:
        """Write what comes in, until closed."""
        self._task = asyncio.create_task(self._work())

    def note(self, served: ServedRequest) -> None:
        """Take a row."""
        if len(self._come) == self._most:
            self.dropped += 1
        self._come.append(served)

    async def flush(self) -> None:
        """Write what has come in. What cannot be written is kept for the next time, and `trouble` says why."""
        await self._take()
        if not self._waiting:
            return
        batch = list(self._waiting)
        try:
            await self._storage.write(lambda conn: requests.add_requests(conn, batch))
        except Exception as error:  # noqa: BLE001 - whatever it was, the next rows are worth another try
            self._why = str(error) or type(error).__name__
            self._warn()
            return
        for _ in batch:
            self._waiting.popleft()
        if self._why is not None:
            self._why = None
            self._warn()

    async def close(self) -> None:
        """Write what is left; what cannot be written is lost, and told so."""
        # Not cancelled: it may be in the middle of a batch.
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.flush()
        if self._why is not None:
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._warn()

    async def _take(self) -> None:
        batch = []
        while self._come:
            served = self._come.popleft()
            batch.append(served if served.cost is not None else replace(served, cost=self._priced(served)))
            if len(batch) % 100 == 0:
                # Requests go first.
                await asyncio.sleep(0)
        self._waiting.extend(batch)
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.dropped += 1
        if batch and self._told is not None:
            self._told(batch)

    def _state(self) -> LogTrouble:
        return LogTrouble(self._why, len(self._waiting), self.dropped)

    def _warn(self) -> None:
        now, before = time.monotonic(), self._warned_of
        state = self._warned_of = self._state()
        is_news = before is None or before.why != state.why or self._closing.is_set()
        if self._warned is not None and state != before and (is_news or now >= self._warned_at + _REMIND):
            self._warned_at = now
            self._warned(state)

    async def _work(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._closing.wait()
            await self.flush()
