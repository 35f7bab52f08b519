"""Archives, runs on and deletes as fast as it can, until it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from podium.domain.retention import Retention
from tests.retention.support import DAY, LONG, ended, keeper
from tests.storage.support import opened


async def main(path: Path) -> None:
    storage = await opened(path)
    policy = Retention("0s", "30d")
    os.write(1, b"ready\n")
    while True:
        life = os.urandom(4).hex()
        for number in range(20):
            age = 40 * DAY if number % 4 == 0 else DAY
            payloads = (f'"{life} {number}"'.encode(), LONG + life.encode(), b"[1,2,3]")
            await ended(storage, f"{life}-{number:02}", age, payloads=payloads)
        done = await keeper(storage, policy).round()
        os.write(1, f"{done.archived} {done.deleted}\n".encode())


while sys.stdin.readline():
    if (life := os.fork()) == 0:
        asyncio.run(main(Path(sys.argv[1])))
    os.write(1, f"alive {life}\n".encode())
    os.waitpid(life, 0)
    os.write(1, b"dead\n")
