"""What steps do to the world, for tests that count it."""

from __future__ import annotations

import asyncio

from podium import step


class World:
    """What happened, what is broken, and a gate that holds steps up."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self.gate = asyncio.Event()


world = World()


@step
async def work(name: str) -> str:
    world.calls.append(name)
    if name in world.broken:
        raise ValueError(f"{name} is broken")
    return name.upper()


@step
async def slow(name: str) -> str:
    world.calls.append(name)
    await world.gate.wait()
    return name.upper()
