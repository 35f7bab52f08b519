"""How an attempt adds to its run's stream, from whatever thread it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from podium.domain.ids import RunId
from podium.ports.journal import PublishChunk, SupersedeChunks


def told(
    run: RunId, key: str, attempt: int, payload: bytes | None, at: float
) -> PublishChunk | SupersedeChunks:
    """Return the change that tells `payload`, or without one takes back what was told at `key`."""
    if payload is None:
        return SupersedeChunks(run, key, at)
    return PublishChunk(run, key, attempt, payload, at)


def thread_safe(
    commit: Callable[[bytes | None], None], loop: asyncio.AbstractEventLoop
) -> Callable[[bytes | None], None]:
    """Return a function that calls `commit` on `loop`, at once when it is called there."""

    def publish(payload: bytes | None) -> None:
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 - the variant that returns None in a thread
            commit(payload)
        else:
            loop.call_soon_threadsafe(commit, payload)

    return publish
