"""Live model calls: whoever can make them for the code that is running."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol


class LiveCalls(Protocol):
    """Makes model calls whose answers are read while they are written."""

    def stream(self, prompt: Any, variables: Mapping[str, object], form: Any) -> AsyncGenerator[Any, None]:
        """Yield the parts of the answer of `prompt`, filled in with `variables`."""
        ...


# Of the task: set around each step for its calls, and for the code inside `async with Podium(...)`.
live_calls: ContextVar[LiveCalls] = ContextVar("podium_live_calls")


@contextmanager
def making_live_calls(calls: LiveCalls) -> Iterator[None]:
    """Make `calls` those of the code inside, and of the tasks that it starts."""
    token = live_calls.set(calls)
    try:
        yield
    finally:
        # Left in another task than entered, it cannot be undone there; that task has ended.
        with suppress(ValueError):
            live_calls.reset(token)
