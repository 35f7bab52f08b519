"""Calling workflow code from a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def from_callback(function: Callable[[], T]) -> T:
    """Return what `function` returns, called from a plain callback of the running loop.

    Workflow code has a loop of its own and cannot be run while a task of another loop is at work.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def call() -> None:
        try:
            value = function()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            if not outcome.done():
                outcome.set_exception(error)
        else:
            if not outcome.done():
                outcome.set_result(value)

    loop.call_soon(call)
    return await outcome
