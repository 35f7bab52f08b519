"""Waiting for work that goes on in an event loop, and stopping it when somebody asks for that."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from podium.cli.exits import Exit, Interrupted, complain

T = TypeVar("T")

PATIENCE = 3.0
"""Seconds that work may take to stop; after that the process ends all the same, which loses nothing."""


def wait_for(work: Callable[[], Coroutine[Any, Any, T]], farewell: str = "") -> T:
    """Run a coroutine to its end on a new event loop and return its result.

    SIGINT and SIGTERM cancel it: raises `Interrupted` with `farewell` as its message.
    """
    stopped = threading.Event()

    async def heed() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop(*_: object) -> None:
            if task is not None and not stopped.is_set():
                stopped.set()
                loop.call_soon_threadsafe(task.cancel)
                _leave_anyway(farewell)

        for number in (signal.SIGINT, signal.SIGTERM):
            # Not through the loop, which may be held up by code that never gives it back.
            signal.signal(number, stop)
        return await work()

    try:
        return asyncio.run(heed())
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        raise Interrupted(farewell) from None


def _leave_anyway(farewell: str) -> None:
    def leave() -> None:
        if farewell:
            complain(farewell)
        os._exit(Exit.INTERRUPTED)

    # A daemon: it does not keep the process alive, but works as long as anything else does.
    timer = threading.Timer(PATIENCE, leave)
    timer.daemon = True
    timer.start()
