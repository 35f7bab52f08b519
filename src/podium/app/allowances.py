"""Allowances shared by processes: each takes a share from the database and hands it out from memory.

What a process holds has been taken in the database already, so all of them together can never hand out more than the
limit. What is left of a share goes back as soon as it has lain idle for a moment; of a process that was killed it is
lost until the period is over, which errs on the safe side.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from podium.domain.errors import StorageUnavailable
from podium.ports.allowances import Allowance, Exhausted, Taken
from podium.ports.storage import Storage
from podium.storage import keys

SHARE = 8
"""What is asked of the database at once: one part in so many of what is left."""


@dataclass(slots=True)
class _Purse:
    """What this process holds of an allowance; below 0 when more was used than had been taken."""

    allowance: Allowance
    period: int
    left: int = 0
    idle: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class SharedAllowances:
    """See `Allowances`. `clock` gives seconds since the epoch, the same in every process."""

    def __init__(self, storage: Storage, *, every: float, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._every = every
        self._clock = clock
        self._purses: dict[tuple[str, str], _Purse] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Go on giving back what lies idle, until closed."""
        self._task = asyncio.create_task(self._tidy())

    async def take(self, allowance: Allowance, amount: int) -> Taken | Exhausted:
        """See `Allowances.take`."""
        now = self._clock()
        purse = self._purse(allowance, now)
        if purse.left < amount:
            async with purse.lock:
                purse = self._purse(allowance, now)
                # Others may use of it, or add to it, while this waits.
                while purse.left < amount:
                    given = await self._fetch(purse, amount - purse.left)
                    if not given:
                        break
                    purse.left += given
        if purse.left < amount:
            return Exhausted(allowance, (purse.period + 1) * allowance.per - now)
        purse.left -= amount
        return Taken(allowance, purse.period, amount)

    def settle(self, taken: Taken, used: int) -> None:
        """See `Allowances.settle`."""
        purse = self._purses.get((taken.allowance.tenant, taken.allowance.name))
        if purse is None:
            purse = self._purse(taken.allowance, self._clock())
        unused = taken.amount - used
        # What was not used of a period that is over is of no use; what was used too much is owed all the same.
        if purse.period == taken.period or unused < 0:
            purse.left += unused

    async def close(self) -> None:
        """Give everything back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for purse in self._purses.values():
            await self._give_back(purse)
        self._purses.clear()

    def _purse(self, allowance: Allowance, now: float) -> _Purse:
        name = (allowance.tenant, allowance.name)
        purse = self._purses.get(name)
        if purse is None:
            purse = self._purses[name] = _Purse(allowance, int(now // allowance.per))
        period = int(now // allowance.per)
        if purse.period < period:
            purse.period, purse.left = period, min(purse.left, 0)
        purse.allowance = allowance
        purse.idle = False
        return purse

    async def _fetch(self, purse: _Purse, least: int) -> int:
        wanted, period = purse.allowance, purse.period
        given = await self._storage.write(
            lambda conn: keys.take(
                conn,
                wanted.name,
                period,
                least=least,
                share=SHARE,
                limit=wanted.limit,
                tenant=wanted.tenant,
            )
        )
        if period == purse.period:
            return given
        return 0

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            for purse in list(self._purses.values()):
                if purse.idle and not purse.lock.locked():
                    with contextlib.suppress(StorageUnavailable):
                        await self._give_back(purse)
                purse.idle = True

    async def _give_back(self, purse: _Purse) -> None:
        # Until it is on its way back, whoever wants some must wait, or would find it nowhere.
        async with purse.lock:
            amount, purse.left = purse.left, 0
            if amount == 0:
                return
            name, period, tenant = purse.allowance.name, purse.period, purse.allowance.tenant
            try:
                await self._storage.write(
                    lambda conn: keys.give_back(conn, name, period, amount, tenant=tenant)
                )
            except StorageUnavailable:
                purse.left += amount
                raise
