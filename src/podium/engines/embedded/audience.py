"""Whoever is told what happens: a listener, and those who wait for a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from podium.domain.happenings import Happening, RunMoved
from podium.engines.embedded.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.domain.ids import RunId

_log = logging.getLogger(__name__)


class Audience:
    """Tells `listener` of every happening, and `waiters` of moves; `asleep` are the runs that wait for a time."""

    def __init__(self, listener: Callable[[Happening], None]) -> None:
        self._listener = listener
        self.waiters = Waiters()
        self.asleep: set[RunId] = set()

    def tell(self, happening: Happening) -> None:
        """Pass a happening on; a listener that fails stops nobody else."""
        if isinstance(happening, RunMoved):
            (self.asleep.discard if happening.wake_at is None else self.asleep.add)(happening.run)
        try:
            self._listener(happening)
        except Exception:  # noqa: BLE001 - a faulty listener is no reason to stop a run
            _log.exception("a listener failed on %s; the run goes on", type(happening).__name__)
        if isinstance(happening, RunMoved):
            self.waiters.moved(happening)
