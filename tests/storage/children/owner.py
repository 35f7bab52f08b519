"""Owns a database until it is told to end, or is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.storage.support import opened


async def main(path: Path) -> None:
    storage = await opened(path)
    print("owned", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await storage.close()


asyncio.run(main(Path(sys.argv[1])))
