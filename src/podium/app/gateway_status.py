"""Use-cases on the gateway: how it stands with its providers, written by the owner, read by anybody."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from podium.domain.errors import PodiumError
from podium.storage import gateway_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.domain.gateway_status import GatewayStatus
    from podium.gateway.traffic import Traffic
    from podium.ports.storage import Storage

_log = logging.getLogger(__name__)
_LOOK_EVERY = 1.0
# Counts that nobody waits for; what a breaker does is written at the next look.
_WRITE_EVERY = 10.0
_SIGN_OF_LIFE = 60.0
_FORGOTTEN = 180.0


class Watched(Protocol):
    """What has a status: the gateway of prompts, or that of a server's clients."""

    @property
    def traffic(self) -> Traffic:
        """What it has learnt of providers."""
        ...

    def status(self, *, at: float, pid: int) -> GatewayStatus:
        """Return how things stand with the providers, `at` being now in seconds since the epoch."""
        ...


class StatusWriter:
    """Stores a gateway's status a second after a breaker has changed and, while there is traffic, every ten.

    Without a `server`, an id, it is that of the process that owns the database. That of a server is stored every
    minute at least, once it was, and taken away when it ends.
    """

    def __init__(self, storage: Storage, gateway: Watched, server: str | None = None) -> None:
        self._storage = storage
        self._gateway = gateway
        self._server = server
        self._stored: tuple[int, int] = (0, 0)
        self._stored_at = float("-inf")

    async def work(self) -> None:
        """Go on until cancelled. What goes wrong is logged: it concerns whoever looks, and nobody's work."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            changes, requests = self._now()
            age = time.monotonic() - self._stored_at
            is_due = requests != self._stored[1] and age >= _WRITE_EVERY
            is_old = self._server is not None and requests > 0 and age >= _SIGN_OF_LIFE
            if changes != self._stored[0] or is_due or is_old:
                await self.write()

    async def write(self) -> None:
        """Store the status as it is."""
        self._stored, self._stored_at = self._now(), time.monotonic()
        status = self._gateway.status(at=time.time(), pid=os.getpid())
        try:
            if self._server is None:
                put = partial(gateway_status.put_status, status=status)
            else:
                since = status.at - _FORGOTTEN
                put = partial(gateway_status.put_server, id=self._server, status=status, since=since)
            await self._storage.write(put)
        except PodiumError as error:
            _log.warning("the gateway's status was not stored: %s", error)

    async def close(self, task: asyncio.Task[None]) -> None:
        """End the work, and store what it has not."""
        task.cancel()
        await asyncio.wait([task])
        if self._server is not None:
            try:
                await self._storage.write(partial(gateway_status.remove_server, id=self._server))
            except PodiumError as error:
                _log.warning("the server's status was not taken away: %s", error)
        elif self._now() != self._stored:
            await self.write()

    def _now(self) -> tuple[int, int]:
        return self._gateway.traffic.changes, self._gateway.traffic.requests


class GatewayView:
    """The gateways of the process that owns, or last owned, a database, and of those that serve. Works beside them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def status(self) -> GatewayStatus | None:
        """Return the status as it was stored last, or None when no model was called yet."""
        return await self._storage.read(gateway_status.get_status)

    async def servers(self) -> Sequence[GatewayStatus]:
        """Return how the gateway of each process stands that serves and was asked for a model, by process."""
        return await self._storage.read(partial(gateway_status.list_servers, since=time.time() - _FORGOTTEN))
