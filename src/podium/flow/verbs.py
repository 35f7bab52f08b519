"""The verbs of workflow code: `gather`, `sleep`, `continue_as_new`, `now`, `uuid`, `random`."""

from __future__ import annotations

import asyncio
import datetime
import uuid as uuids
from collections.abc import Awaitable
from typing import Any, NoReturn, TypeVar, overload

from podium.domain.durations import Duration, seconds
from podium.domain.errors import ContinueAsNew, InvalidInput
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


async def sleep(duration: Duration | datetime.datetime) -> None:
    """Wait for `duration` (seconds, a timedelta or text such as `2h`) or until a date, durably, across restarts.

    A date that has passed does not wait. Raises `NotInRun` outside a run and `InvalidInput` for a negative or
    infinite duration, or a date without a time zone.
    """
    run = current_run("sleep()", "outside workflows use asyncio.sleep.")
    if isinstance(duration, datetime.datetime):
        if duration.tzinfo is None:
            raise InvalidInput(
                f"sleep({duration!r}): the date has no time zone; write e.g. datetime(..., tzinfo=timezone.utc)."
            )
        wait = max(duration.timestamp() - run.now(), 0.0)
    else:
        try:
            wait = seconds(duration)
        except InvalidInput as error:
            raise InvalidInput(f"sleep({duration!r}): {error}") from None
    if not wait < 10 * 366 * 86_400:
        raise InvalidInput(f"sleep({duration!r}): the duration must be from 0 seconds to 10 years.")
    # The due time is not part of the fingerprint: it follows from the journal and may change with the code.
    request = WaitUntil(run.now() + wait, run.now())
    await run.perform(Intent(OperationKind.TIMER, "sleep", "", request, _TIMER))


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """End the present journal and go on as new, under the same run id, called with these arguments.

    For runs that live long: whatever is carried over is in the arguments, so that the journal stays short.
    Events that were not taken yet are kept; what is still open (reviews, timers, children that are not
    abandoned) is given up. Compensations of completed steps do not outlive it. Raises `NotInRun` outside a run.
    """
    current_run("continue_as_new()")
    raise ContinueAsNew(args, kwargs)


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
