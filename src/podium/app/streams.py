"""Reading what a run publishes, while it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

from podium.app.runs import Runs
from podium.domain.chunks import Chunk
from podium.domain.ids import RunId
from podium.domain.states import TERMINAL_RUN_STATES
from podium.ports.storage import Storage
from podium.storage import chunks

_PAGE = 500


async def chunks_so_far(storage: Storage, runs: Runs, run_id: str, *, after: int = 0) -> AsyncIterator[Chunk]:
    """Yield what a run has published after position `after` so far; raises `UnknownRun`."""
    run = (await runs.get(run_id)).id
    while page := await storage.read(partial(chunks.list_chunks, run=run, after=after, limit=_PAGE)):
        for chunk in page:
            after = chunk.position
            yield chunk


async def chunks_of(
    storage: Storage,
    runs: Runs,
    run: RunId,
    *,
    after: int,
    poll_interval: float,
    news: Callable[[], asyncio.Event],
) -> AsyncIterator[Chunk]:
    """Yield what `run` has published after position `after` and what it goes on to publish, until it has ended.

    `news` returns an event that is set when something was published here; what other processes publish is
    looked for every `poll_interval` seconds. Raises `UnknownRun`.
    """
    while True:
        noticed = news()
        # Looked at first: what it published before it ended is then read.
        has_ended = (await runs.get(run)).state in TERMINAL_RUN_STATES
        page = await storage.read(partial(chunks.list_chunks, run=run, after=after, limit=_PAGE))
        for chunk in page:
            after = chunk.position
            yield chunk
        if len(page) < _PAGE:
            if has_ended:
                return
            try:
                async with asyncio.timeout(poll_interval):
                    await noticed.wait()
            except TimeoutError:
                pass
