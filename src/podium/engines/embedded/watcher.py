"""Sees what comes from outside: times that are due, and deliveries that somebody put into the inbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.engines.embedded.alarm import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from podium.domain.ids import RunId
    from podium.domain.inbox import Delivery, DeliveryKind
    from podium.ports.journal import Journal

_PAGE = 500


class Watcher:
    """Looks into the database when something may have come: told so, at a due time, or after another's write.

    `wanted` is called with each run for which there is something, `looked` after each look. `poll_interval` is in
    seconds; `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        journal: Journal,
        poll_interval: float,
        clock: Callable[[], float],
        wanted: Callable[[RunId], None],
        looked: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._poll_interval = poll_interval
        self._clock = clock
        self._wanted = wanted
        self._looked = looked
        self._look = asyncio.Event()
        self._looking = False
        self._look_again = False
        self._alarm = Alarm(clock, self._look.set)
        # Deliveries that no run has taken yet, in order of arrival.
        self._mail: dict[RunId, list[Delivery]] = {}
        self._last_delivery = 0
        self._loaded: set[int] = set()
        self._foreign: set[RunId] = set()

    @property
    def is_busy(self) -> bool:
        """Whether it is looking, or about to look."""
        return self._looking or self._look.is_set()

    def look(self) -> None:
        """Look at once."""
        self._look.set()

    def look_at(self, at: float) -> None:
        """Look at `at`, in seconds since the epoch, at the latest."""
        self._alarm.set(at)

    def disregard(self, run: RunId) -> None:
        """Want no more that `run` goes on when it is due: it is not this engine's."""
        self._foreign.add(run)

    def has_mail(self, run: RunId) -> bool:
        """Return whether deliveries wait for `run`."""
        return run in self._mail

    def mail(self, run: RunId) -> Sequence[Delivery]:
        """Return the deliveries that wait for `run`, in order of arrival."""
        return self._mail.get(run, ())

    def take_mail(self, run: RunId, kinds: Collection[DeliveryKind] | None = None) -> Sequence[Delivery]:
        """Return, once, the deliveries that wait for `run`, all or those of some kinds."""
        mail = self._mail.pop(run, [])
        if kinds is None:
            return mail
        kept = [delivery for delivery in mail if delivery.kind not in kinds]
        if kept:
            self._mail[run] = kept
        return [delivery for delivery in mail if delivery.kind in kinds]

    def loaded(self, events: Iterable[Delivery]) -> None:
        """Take note that a run has these events, so that it is not given them again once they are read here too."""
        self._loaded.update(event.id for event in events if event.id > self._last_delivery)

    def stop(self) -> None:
        """Let no alarm ring any more."""
        self._alarm.cancel()

    async def watch(self) -> None:
        """Look whenever something may have come, until cancelled; raises what the database raises."""
        while True:
            self._look.clear()
            self._looking = True
            await self._wake_due()
            await self.read_inbox()
            self._looking = False
            self._looked()
            await self._news()

    async def read_inbox(self) -> None:
        """Read what has come into the inbox."""
        while deliveries := await self._journal.deliveries(self._last_delivery, _PAGE):
            for delivery in deliveries:
                self._last_delivery = delivery.id
                if delivery.id in self._loaded:
                    self._loaded.discard(delivery.id)
                    continue
                self._mail.setdefault(delivery.run, []).append(delivery)
                self._wanted(delivery.run)

    async def _wake_due(self) -> None:
        now = self._clock()
        # Those that are not ours stay due, and must not hide the ones that are.
        for run_id in await self._journal.due(now, _PAGE + len(self._foreign)):
            if run_id not in self._foreign:
                self._wanted(run_id)
        following = await self._journal.next_wake()
        self._look_again = False
        if following is not None:
            # Runs that were just woken stay listed until they have moved, so what is past is looked at again soon.
            self._look_again = following <= now
            if following > now:
                self._alarm.set(following)

    async def _news(self) -> None:
        while not self._look.is_set():
            try:
                async with asyncio.timeout(self._poll_interval):
                    await self._look.wait()
            except TimeoutError:
                if self._look_again or self._journal.changed_elsewhere():
                    return
