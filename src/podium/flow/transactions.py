"""`transaction`: steps that succeed or fail together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from podium.domain.errors import ContinueAsNew, WorldMoved
from podium.flow.compensation import Scope, current_scope
from podium.ports.run import current_run


@asynccontextmanager
async def transaction(recheck: Callable[[], Awaitable[Any]] | None = None) -> AsyncIterator[None]:
    """Group steps that must succeed or fail together, as an asynchronous context manager inside a workflow.

    When the block raises or is cancelled, its completed steps that have a `compensate=` are undone in reverse
    order, durably, before the error goes on. When the block succeeds they stay, until the run as a whole
    fails or is cancelled.

    `recheck`: called when the block begins and again before it commits, e.g. `lambda: read_customer(id)` with
    a step; when the two results differ, the world has moved under the transaction, which then fails.

    Raises `NotInRun` outside a run, `WorldMoved` when `recheck` sees a change, `CompensationFailed` when
    something could not be undone.
    """
    run = current_run("transaction()")
    scope = Scope(current_scope.get())
    before = None if recheck is None else await recheck()
    token = current_scope.set(scope)
    try:
        yield
        if recheck is not None and (after := await recheck()) != before:
            raise WorldMoved(
                f"what the transaction was based on has changed meanwhile: it was {_shown(before)} and is now "
                f"{_shown(after)}. Its steps have been undone; decide anew on the present state."
            )
    except ContinueAsNew:
        raise
    except (Exception, asyncio.CancelledError) as cause:
        await scope.undo(run, cause)
        raise
    finally:
        current_scope.reset(token)
        scope.hand_over()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
