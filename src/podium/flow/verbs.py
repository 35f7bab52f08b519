"""The verbs of workflow code: `gather`, `sleep`, `now`, `uuid`, `random`."""

from __future__ import annotations

import asyncio
import datetime
import uuid as uuids
from collections.abc import Awaitable
from typing import Any, TypeVar, overload

from podium.domain.errors import InvalidInput
from podium.domain.operations import Intent, OperationKind, WaitUntil
from podium.domain.values import TypedCodec
from podium.ports.run import current_run

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


@overload
async def gather(a: Awaitable[T1], b: Awaitable[T2], /) -> tuple[T1, T2]: ...
@overload
async def gather(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...
@overload
async def gather(
    a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /
) -> tuple[T1, T2, T3, T4]: ...
@overload
async def gather(*operations: Awaitable[T]) -> tuple[T, ...]: ...
async def gather(*operations: Awaitable[Any]) -> tuple[Any, ...]:
    """Await several steps, prompts, child runs or coroutines at once; returns their results in the order given.

    When one fails, the others are cancelled, last started first, their clean-up is awaited, and its error
    is raised. Usable inside a run only (raises `NotInRun`).
    """
    current_run("gather()", "outside workflows use asyncio.gather.")
    tasks = [asyncio.ensure_future(operation) for operation in operations]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in reversed(tasks):
            task.cancel()
        # Waits for the clean-up of all and leaves no error unreceived.
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def sleep(duration: float | datetime.timedelta) -> None:
    """Wait for `duration` (seconds, or a timedelta), durably: it goes on across restarts.

    Raises `NotInRun` outside a run and `InvalidInput` for a negative or infinite duration.
    """
    run = current_run("sleep()", "outside workflows use asyncio.sleep.")
    seconds = duration.total_seconds() if isinstance(duration, datetime.timedelta) else float(duration)
    if not 0 <= seconds < 10 * 366 * 86_400:
        raise InvalidInput(f"sleep({duration!r}): the duration must be from 0 seconds to 10 years.")
    # The due time is not part of the fingerprint: it follows from the journal and may change with the code.
    request = WaitUntil(run.now() + seconds, run.now())
    await run.perform(Intent(OperationKind.TIMER, "sleep", "", request, _TIMER))


def now() -> datetime.datetime:
    """Return the run's time in UTC: when its latest journal entry was made. The same on every replay."""
    return datetime.datetime.fromtimestamp(current_run("now()").now(), datetime.UTC)


def uuid() -> uuids.UUID:
    """Return a random UUID (version 4) that is the same on every replay."""
    return current_run("uuid()", "outside workflows use uuid.uuid4.").uuid()


def random() -> float:
    """Return a random number from 0 to 1 that is the same on every replay."""
    return current_run("random()", "outside workflows use random.random.").random()


_TIMER = TypedCodec(None, "a timer")
