"""Threads for plain functions: an interpreter that exits does not wait for one that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    result: asyncio.Future[Any]


class StepThreads:
    """Calls plain functions in threads, for one event loop; threads are made when needed and used again.

    A call that was given up keeps its thread until it returns. The threads of the standard library's pools
    are joined when the interpreter exits, so that one call that hangs would keep the process alive.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0

    async def call(self, function: Callable[[], Any]) -> Any:
        """Return what `function()` returns, raise what it raises; on cancellation it goes on, unheard."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()
        if self._idle:
            self._idle -= 1
        else:
            self._threads += 1
            threading.Thread(target=self._work, name=f"podium-step-{self._threads}", daemon=True).start()
        self._calls.put(_Call(function, loop, result))
        return await result

    def close(self) -> None:
        """Let every thread end once it has nothing to do. Safe to call twice."""
        for _ in range(self._threads):
            self._calls.put(None)
        self._threads = self._idle = 0

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                tell = partial(_set_result, call.result, call.function())
            except BaseException as error:  # noqa: BLE001 - whatever it raises is its outcome
                tell = partial(_set_exception, call.result, error)
            # A loop that is closed has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                call.loop.call_soon_threadsafe(self._told, tell)
            del call, tell

    def _told(self, tell: Callable[[], None]) -> None:
        if self._threads:
            self._idle += 1
        tell()


def _set_result(result: asyncio.Future[Any], value: Any) -> None:
    if not result.done():
        result.set_result(value)


def _set_exception(result: asyncio.Future[Any], error: BaseException) -> None:
    if isinstance(error, StopIteration):
        # No future takes one: raised in a coroutine it would read as a return.
        error = RuntimeError(
            f"StopIteration was raised: {error}" if str(error) else "StopIteration was raised"
        )
    if not result.done():
        result.set_exception(error)
