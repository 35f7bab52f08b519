"""Workflows for the tests of what can be done to a run from outside. They need no model."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from podium import continue_as_new, patched, publish, step, wait_for_event, workflow


@step
async def fragile(text: str) -> str:
    """Fail unless there is a file `mended`."""
    if not Path("mended").exists():
        raise ValueError("not mended yet")
    return text.upper()


@step
async def note(text: str) -> str:
    """Leave a trace of being called, and return it."""
    with Path("posted.txt").open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return text


@step(at_most_once=True)
async def send(text: str) -> str:
    """Be interrupted in the middle, the first time."""
    await note.function(text)
    if not Path("mended").exists():
        os._exit(9)
    return text


@step
async def look() -> bool:
    """Say, after a moment, whether there is a file `go`."""
    Path("begun").touch()
    await asyncio.sleep(0.02)
    return Path("go").exists()


@workflow
async def order(item: str) -> str:
    """Wait for an event and post it."""
    paid = await wait_for_event("paid", str)
    return await note(f"{item} {paid}")


@workflow
async def mends(text: str) -> str:
    """Do one step that works and one that fails."""
    return await fragile(await note(text))


@workflow
async def mails(text: str) -> str:
    """Send something at most once."""
    return f"sent {await send(text)}"


@workflow
async def tells() -> None:
    """Publish and take its time."""
    await publish("first \x1b[31m red")
    await publish({"n": 2})
    while not await look():
        pass
    await publish("last")


@workflow
async def again(n: int = 0) -> int:
    """Go on as new twice."""
    if patched("noted"):
        await note(f"generation {n}")
    if n < 2:
        continue_as_new(n + 1)
    return n
