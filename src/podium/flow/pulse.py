"""Signs of life of a step that takes long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from podium.domain.errors import StepStalled


class Pulse:
    """Ends work that gives no sign of life for `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._last = time.monotonic()

    def beat(self) -> None:
        """Note a sign of life; may be called from any thread."""
        self._last = time.monotonic()

    async def watch(self, work: Coroutine[Any, Any, Any], name: str) -> Any:
        """Return what `work` returns; raises `StepStalled`, and cancels it, when it stops beating.

        Work that runs in a thread cannot be stopped: it goes on, unheard.
        """
        self.beat()
        task = asyncio.ensure_future(work)
        try:
            while True:
                silent = time.monotonic() - self._last
                done, _ = await asyncio.wait({task}, timeout=max(self._limit - silent, 0.0))
                if done:
                    return task.result()
                if time.monotonic() - self._last >= self._limit:
                    raise StepStalled(
                        f"step {name!r} gave no sign of life for its heartbeat of {self._limit:g} s. Call heartbeat() "
                        "in its body at least that often."
                    )
        finally:
            if not task.done():
                task.cancel()
                # Its clean-up belongs to this attempt.
                await asyncio.wait({task}, timeout=self._limit)
