"""How an attempt adds to its run's stream, from whatever thread it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def thread_safe(commit: Callable[[bytes], None], loop: asyncio.AbstractEventLoop) -> Callable[[bytes], None]:
    """Return a function that calls `commit` on `loop`, at once when it is called there."""

    def publish(payload: bytes) -> None:
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 - the variant that returns None in a thread
            commit(payload)
        else:
            loop.call_soon_threadsafe(commit, payload)

    return publish
