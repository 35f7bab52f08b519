"""The runs that are to come into memory when there is room, in order."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.domain.ids import RunId
    from podium.domain.runs import Run

_RESERVE = 4
"""How many runs beyond the limit may be in memory because somebody has decided something about them."""


class Line:
    """First come, first served, apart from the urgent: those for which something came from outside."""

    def __init__(self) -> None:
        self._runs: OrderedDict[RunId, Run | None] = OrderedDict()
        self._urgent: set[RunId] = set()

    def add(self, run: RunId) -> None:
        """Put a run at the end, unless it stands in line already."""
        self._runs.setdefault(run, None)

    def add_new(self, run: Run) -> None:
        """Put a run at the end that was just stored, and so has no journal to be read."""
        self._runs[run.id] = run

    def add_urgent(self, run: RunId) -> None:
        """Put a run at the front."""
        self.add(run)
        self._runs.move_to_end(run, last=False)
        self._urgent.add(run)

    def may_enter(self, free: int) -> bool:
        """Return whether the first may come in, with `free` places left (less than 0: so many too many)."""
        if not self._runs:
            return False
        # Somebody waits for those that were decided or cancelled: a full house has some room for them still.
        return free > 0 or (free > -_RESERVE and next(iter(self._runs)) in self._urgent)

    def pop(self) -> tuple[RunId, Run | None]:
        """Take the first out of the line; returns its id, and its row if it was just stored."""
        run_id, run = self._runs.popitem(last=False)
        self._urgent.discard(run_id)
        return run_id, run

    def clear(self) -> None:
        """Send all away."""
        self._runs.clear()
        self._urgent.clear()

    def __contains__(self, run: RunId) -> bool:
        return run in self._runs

    def __len__(self) -> int:
        return len(self._runs)
