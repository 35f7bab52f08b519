"""Workflows for the tests of the command, which call it on this file. They need no model."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from podium import Rejected, ask_human, step, wait_for_event, workflow


class Quote(BaseModel):
    """A price."""

    amount: int
    currency: Literal["EUR", "USD"] = "EUR"


class Item(BaseModel):
    """One of several."""

    text: str
    id: str = ""


@step(timeout=60)
async def until_told(name: str) -> str:
    """Return once a file of this name is there."""
    while not Path(name).exists():  # noqa: ASYNC110 - it is another process that makes it
        await asyncio.sleep(0.02)
    return name


@step(retries=1)
async def post(text: str) -> str:
    """Leave a trace of being called, and return it."""
    with Path("posted.txt").open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return text


@step
async def broken() -> str:
    """Fail."""
    raise ValueError("the [/b] \x1b[31mprinter\x1b[0m is on fire \u202e!")


@workflow
async def echo(text: str) -> str:
    """Return what it is given."""
    return await post(text)


@workflow
async def add(left: int, right: int = 1) -> Quote:
    """Return the sum as a price."""
    return Quote(amount=left + right)


@workflow
async def held(item: Item) -> str:
    """Return its text; but `slow` only once a file `go` is there, and `asks` only once a person agrees."""
    if item.text == "slow":
        await until_told("go")
    if item.text == "asks":
        return await approve("Robin")
    return await post(item.text)


@workflow
async def approve(name: str) -> str:
    """Ask for a letter to be approved and post it."""
    human = await ask_human(f"Post this letter to {name}?", proposal=f"Dear {name}", queue="mail", sla="1h")
    if human.value is None:
        raise Rejected(f"{human.reviewer} stopped the letter: {human.comment}")
    return await post(human.value)


@workflow
async def twice(text: str) -> str | None:
    """Post something, and once more if a person agrees."""
    await post(text)
    return (await ask_human("Once more?", proposal=text)).value


@workflow
async def price(item: str) -> Quote | None:
    """Ask for a price."""
    return (await ask_human(f"What does {item} cost?", output=Quote)).value


@workflow
async def fails() -> str:
    """Fail in a step."""
    return await broken()


@workflow
async def letters(names: list[str]) -> list[str]:
    """Ask for one letter after another."""
    return [await approve(name) for name in names]


@step
async def stuck() -> None:
    """Be busy in a way that nobody can interrupt."""
    await asyncio.to_thread(_busy)


def _busy() -> None:
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.02)


@workflow
async def stubborn() -> None:
    """Do not stop."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await stuck()


@workflow
async def delivered(number: str) -> str:
    """Wait for an event whose name needs quotes in a shell."""
    return await wait_for_event(f"parcel {number}", str)


@workflow
async def forwarded(number: str) -> str:
    """Wait for a child run."""
    return await delivered(number)
