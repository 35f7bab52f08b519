"""Whoever waits for a run to move on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

from podium.domain.states import TERMINAL_RUN_STATES, RunState

if TYPE_CHECKING:
    from podium.domain.happenings import RunMoved
    from podium.domain.ids import RunId

_BEGINNING = frozenset({RunState.RUNNING})
_ENDS = TERMINAL_RUN_STATES | {RunState.BLOCKED}

Waiter = asyncio.Future["RunMoved"]
"""Gives the move that was waited for."""


class Waiters:
    """Futures for the moves of runs."""

    def __init__(self) -> None:
        self._waiting: dict[RunId, list[tuple[Collection[RunState], Waiter]]] = {}
        self._failure: Exception | None = None

    def wait(self, run: RunId, states: Collection[RunState]) -> Waiter:
        """Return a future for the run's next move to one of `states`; after `fail` it raises that error."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if self._failure is not None:
            waiter.set_exception(self._failure)
        else:
            self._waiting.setdefault(run, []).append((states, waiter))
        return waiter

    def end_of(self, run: RunId) -> Waiter:
        """Return a future for the run's next move to a final state or to `blocked`; see `wait`."""
        return self.wait(run, _ENDS)

    def beginning_of(self, run: RunId) -> Waiter:
        """Return a future for the run's next move to `running`; see `wait`."""
        return self.wait(run, _BEGINNING)

    def forget(self, run: RunId, waiter: Waiter) -> None:
        """Take back a future that is no longer needed."""
        if not waiter.cancel() and not waiter.cancelled():
            # Looked at, so that nobody complains that it was not.
            waiter.exception()
        self._keep(run, [waiting for waiting in self._waiting.get(run, ()) if waiting[1] is not waiter])

    def moved(self, move: RunMoved) -> None:
        """Tell those who wait for this."""
        kept = []
        for states, waiter in self._waiting.get(move.run, ()):
            if move.state not in states:
                kept.append((states, waiter))
            elif not waiter.done():
                waiter.set_result(move)
        self._keep(move.run, kept)

    def check(self) -> None:
        """Raise what all who wait were told by `fail`, if they were."""
        if self._failure is not None:
            raise self._failure

    def fail(self, error: Exception) -> None:
        """Raise `error` to all who wait, or will."""
        self._failure = error
        for waiting in self._waiting.values():
            for _, waiter in waiting:
                if not waiter.done():
                    waiter.set_exception(error)
        self._waiting.clear()

    def _keep(self, run: RunId, waiting: list[tuple[Collection[RunState], Waiter]]) -> None:
        if waiting:
            self._waiting[run] = waiting
        else:
            self._waiting.pop(run, None)
