"""LangGraph: one `@entrypoint` of many `@task`s, with its SQLite saver and the safest of its durability modes.

Even so, its code goes on with a task's result while that is still being stored.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task

from benchmarks.contenders.shape import Perform, main
from benchmarks.plain_sqlite import PAYLOAD


@task
async def work(number: int) -> str:
    del number
    return PAYLOAD


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Perform]:
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        await saver.setup()  # switches to the write-ahead log
        await saver.conn.execute("PRAGMA synchronous = FULL")

        @entrypoint(checkpointer=saver)
        async def in_sequence(steps: int) -> int:
            total = 0
            for number in range(steps):
                total += len(await work(number))
            return total

        async def perform(runs: int, steps: int) -> list[int]:
            threads = [{"configurable": {"thread_id": uuid.uuid4().hex}} for _ in range(runs)]
            begun = (in_sequence.ainvoke(steps, config, durability="sync") for config in threads)
            totals: list[int] = await asyncio.gather(*begun)
            return totals

        yield perform


if __name__ == "__main__":
    main(opened)
