"""Commits until the system refuses to let its files grow, then says what it was told."""

from __future__ import annotations

import asyncio
import resource
import sys
from functools import partial
from pathlib import Path

from podium.domain.errors import StorageUnavailable
from podium.ports.journal import Append
from tests.storage.support import a_run, an_entry, opened

MOST_BYTES = 2_000_000


async def main(path: Path) -> None:
    storage = await opened(path)
    run = await storage.create(a_run("filling"))
    failed = asyncio.get_running_loop().create_future()
    storage.on_failure(failed.set_result)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    acknowledged: list[int] = []
    while not failed.done():
        seq = len(acknowledged) + 1
        entry = an_entry(run.id, seq, b'"' + b"x" * 10_000 + b'"')
        done = asyncio.get_running_loop().create_future()
        storage.commit([Append(entry)], partial(done.set_result, seq))
        await asyncio.wait([done, failed], return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            acknowledged.append(seq)
    print(len(acknowledged), flush=True)
    print(await failed, flush=True)
    try:
        await storage.write(lambda conn: None)
    except StorageUnavailable as error:
        print(error, flush=True)
    await storage.close()


asyncio.run(main(Path(sys.argv[1])))
