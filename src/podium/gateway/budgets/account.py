"""One account in memory: what this process holds of it on disk, and what it has used of that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podium.ports.budgets import AccountKey, Ask, Settled, Standing

if TYPE_CHECKING:
    from podium.domain.budgets import Budget

# How much more than needed is held, so that most calls wait for no disk: some calls' worth at first, and never much of
# the limit, because what is held when a process is killed counts as spent.
_CALLS_AHEAD: Final = 8
_SHARE_AHEAD: Final = 64
# How long it is believed when the disk has no more, so that those who are refused, or wait, cost no commit each.
_SHORT_FOR: Final = 0.05


class Account:
    """Reservations against one window of a budget. All amounts are in the budget's unit.

    At any time `reserved` and `settled` are within `held`, and the disk says no less is held: so what all processes
    spend together stays within the limit, as long as calls cost no more than was reserved for them.
    """

    def __init__(self, key: AccountKey, budget: Budget) -> None:
        self.key = key
        self.budget = budget
        self.held = 0
        self.reserved = 0
        self.settled = 0
        self.written = 0
        self.standing = Standing(0, 0)
        # What those who wait for more want, all together.
        self.wanted = 0
        self.asking = asyncio.Lock()
        self._short = 0
        self._short_until = 0.0
        self._ahead = _CALLS_AHEAD
        self._changed: asyncio.Future[None] | None = None

    @property
    def free(self) -> int:
        """How much may be reserved without asking the disk."""
        return self.held - self.reserved - self.settled

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way and nobody waits."""
        return not (self.held or self.reserved or self.settled or self.wanted)

    def reserve(self, amount: int) -> None:
        """Set aside `amount`, of what is free."""
        self.reserved += amount

    def settle(self, reserved: int, actual: int) -> None:
        """Replace what was reserved by what it came to."""
        self.reserved -= reserved
        self.settled += actual
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def is_known_short(self, amount: int, now: float) -> bool:
        """Return whether the disk said a moment ago that it has not got what `amount` would take."""
        return now < self._short_until and amount - self.free >= self._short

    def ask_for(self, amount: int) -> Ask:
        """Return what to ask the disk for so that `amount` can be reserved."""
        least = amount - self.free
        ahead = min(self._ahead * amount, self.budget.limit // _SHARE_AHEAD)
        # The more often the disk is asked, the farther ahead.
        self._ahead *= 2
        return Ask(self.key, self.budget, least, max(least, self.wanted - self.free, ahead))

    def take(self, standing: Standing, behind: int = 0) -> None:
        """Take note of what the disk said; `behind` is what has been written off since it was asked."""
        self.standing = Standing(standing.spent + behind, standing.held - behind, standing.given)
        self.held += standing.given

    def found_short(self, ask: Ask, now: float) -> None:
        """Take note that the disk had too little for `ask`, at a time `now` of a clock that only grows."""
        self._short, self._short_until = ask.least, now + _SHORT_FOR

    def changed(self) -> asyncio.Future[None]:
        """Return what is done when the next reservation is settled."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def write_off(self) -> Settled | None:
        """Return what is to be written, and count it as written; None when there is nothing.

        While nothing is on its way, nothing is held. What was spent beyond the hold is held first, whatever the
        limit: it is spent.
        """
        spent = self.settled
        returned = min(self.free, 0) if self.reserved or self.wanted else self.free
        if not spent and not returned:
            return None
        self.settled = 0
        self.written += spent
        self.held -= spent + returned
        self.standing = Standing(self.standing.spent + spent, self.standing.held - spent - returned)
        self._short_until = 0.0
        return Settled(self.key, self.budget, spent, returned)
