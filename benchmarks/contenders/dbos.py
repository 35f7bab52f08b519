"""DBOS: one `@DBOS.workflow` of many `@DBOS.step`s on SQLite, as plain functions, which it runs faster than async ones.

It leaves SQLite's journal mode as it finds it and has no setting for that: the write-ahead log, which is several
times faster, is switched on for it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig
from sqlalchemy import Engine, event

from benchmarks.contenders.shape import Perform, main
from benchmarks.plain_sqlite import PAYLOAD


@event.listens_for(Engine, "connect")
def write_ahead(connection: Any, record: object) -> None:
    del record
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


@DBOS.step()
def work(number: int) -> str:
    del number
    return PAYLOAD


@DBOS.workflow()
def in_sequence(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += len(work(number))
    return total


def _perform(runs: int, steps: int) -> list[int]:
    handles = [DBOS.start_workflow(in_sequence, steps) for _ in range(runs)]
    return [handle.get_result() for handle in handles]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Perform]:
    config = DBOSConfig(name="benchmark", system_database_url=f"sqlite:///{path}", log_level="ERROR")
    DBOS(config=config)
    DBOS.launch()

    async def perform(runs: int, steps: int) -> list[int]:
        return await asyncio.to_thread(_perform, runs, steps)

    try:
        yield perform
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main(opened)
