"""Archives until the system refuses to let the file grow, then says what it was told."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from podium.domain.errors import StorageUnavailable
from podium.domain.retention import Retention
from tests.retention.support import keeper
from tests.storage.support import opened


async def main(path: Path) -> None:
    storage = await opened(path)
    size = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 20, size // 20))
    try:
        await keeper(storage, Retention("0s")).round()
    except StorageUnavailable as error:
        print(error, flush=True)
    await storage.close()


asyncio.run(main(Path(sys.argv[1])))
