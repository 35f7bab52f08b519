"""Workflows that show it when something is done twice, lost or mixed up."""

from __future__ import annotations

import asyncio
import random as dice
from typing import Any

from podium import current_step, gather, sleep, step, wait_for_event, workflow
from tests.support.programs import branch, program

LONG = 3_000
"""Characters of a receipt: more than the threshold of blobs that chaos sets."""


@step
async def fetch(i: int) -> int:
    """Give a number after a moment."""
    await asyncio.sleep(dice.random() * 0.002)
    return i


@step(retries=4, backoff=0.0005)
def compute(i: int) -> int:
    """Square in a thread; the first attempt often fails."""
    if current_step().attempt == 1 and i % 2:
        raise ConnectionError("the first attempt fails")
    return i * i


@step(at_most_once=True)
async def send(i: int, total: int) -> str:
    """Do what must not be done twice."""
    await asyncio.sleep(dice.random() * 0.002)
    return receipt(i, total)


@workflow
async def child(i: int) -> int:
    """A run of its own."""
    return await compute(i + 1)


@workflow
async def order(i: int) -> str:
    """A bit of everything; `expected` says what it must return."""
    first = await fetch(i)
    await sleep(0.003)
    a, b, c = await gather(compute(first), fetch(first + 1), child(first))
    return await send(i, a + b + c)


@workflow
async def anything(tree: list[Any], scale: float) -> str:
    """The program of a tree, with its times multiplied by `scale`."""
    return str(await program(tuple(tree), scale)([]))


@workflow
async def listener(events: int) -> list[int]:
    """Return the payloads of so many events, in the order in which they came."""
    return [await wait_for_event("tick", int) for _ in range(events)]


WORKFLOWS = (order, child, anything, branch, listener)


def receipt(i: int, total: int) -> str:
    """Return what sending gives."""
    return f"{i}:{total}:" + "r" * LONG


def expected(i: int) -> str:
    """Return what `order` gives."""
    return receipt(i, i * i + (i + 1) + (i + 1) ** 2)
