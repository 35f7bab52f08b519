"""Use-cases on the gateway: how it stands with its providers, written by the owner, read by anybody."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from podium.domain.errors import PodiumError
from podium.storage import gateway_status

if TYPE_CHECKING:
    from podium.domain.gateway_status import GatewayStatus
    from podium.gateway.gateway import Gateway
    from podium.ports.storage import Storage

_log = logging.getLogger(__name__)
_LOOK_EVERY = 1.0
# Counts that nobody waits for; what a breaker does is written at the next look.
_WRITE_EVERY = 10.0


class StatusWriter:
    """Stores the gateway's status a second after a breaker has changed and, while there is traffic, every ten."""

    def __init__(self, storage: Storage, gateway: Gateway) -> None:
        self._storage = storage
        self._gateway = gateway
        self._stored: tuple[int, int] = (0, 0)
        self._stored_at = float("-inf")

    async def work(self) -> None:
        """Go on until cancelled. What goes wrong is logged: it concerns whoever looks, and nobody's work."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            changes, requests = self._now()
            is_due = time.monotonic() >= self._stored_at + _WRITE_EVERY
            if changes != self._stored[0] or (requests != self._stored[1] and is_due):
                await self.write()

    async def write(self) -> None:
        """Store the status as it is."""
        self._stored, self._stored_at = self._now(), time.monotonic()
        status = self._gateway.status(at=time.time(), pid=os.getpid())
        try:
            await self._storage.write(partial(gateway_status.put_status, status=status))
        except PodiumError as error:
            _log.warning("the gateway's status was not stored: %s", error)

    async def close(self, task: asyncio.Task[None]) -> None:
        """End the work, and store what it has not."""
        task.cancel()
        await asyncio.wait([task])
        if self._now() != self._stored:
            await self.write()

    def _now(self) -> tuple[int, int]:
        return self._gateway.traffic.changes, self._gateway.traffic.requests


class GatewayView:
    """The gateway of the process that owns, or last owned, a database. Works beside it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def status(self) -> GatewayStatus | None:
        """Return the status as it was stored last, or None when no model was called yet."""
        return await self._storage.read(gateway_status.get_status)
