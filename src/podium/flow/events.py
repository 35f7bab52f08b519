"""Events: named messages that reach a run from outside, or from another run."""

from __future__ import annotations

import asyncio
import builtins
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from podium.domain.durations import Duration, seconds
from podium.domain.ids import checked_event_name
from podium.domain.journal import Entry
from podium.domain.operations import Intent, OperationKind, WaitForEvent
from podium.domain.values import TypedCodec
from podium.ports.run import current_run

T = TypeVar("T")


@overload
async def wait_for_event(name: str, *, timeout: Duration | None = None) -> Any: ...
@overload
async def wait_for_event(name: str, type: builtins.type[T], *, timeout: Duration | None = None) -> T: ...
async def wait_for_event(name: str, type: Any = Any, *, timeout: Duration | None = None) -> Any:
    """Wait, durably, for the next event called `name`, and return its payload as a `type`.

    Events are kept in order of arrival until the run asks for them, also those that came before; each is
    given out once. `timeout` is in seconds, a timedelta or text such as `2h`.

    Raises `TimeoutError` when none came in time, `InvalidInput` when the payload does not fit `type` (that
    event is used up), `NotInRun` outside a run.
    """
    run = current_run("wait_for_event()")
    name = checked_event_name(name)
    intent = Intent(
        OperationKind.EVENT, name, "", WaitForEvent(name), TypedCodec(type, f"the payload of event {name!r}")
    )
    if timeout is None:
        return await run.perform(intent)
    async with asyncio.timeout(seconds(timeout)):
        return await run.perform(intent)


class UnclaimedEvents:
    """Events that were recorded for a wait which the code had given up by then: the next wait takes them.

    Who gets one follows from the order of the journal alone, so that a replay gives the same.
    """

    def __init__(self) -> None:
        self._entries: dict[str, deque[Entry]] = {}
        self._waiting: dict[str, dict[str, Callable[[Entry], None]]] = {}

    def wait(self, name: str, key: str, settle: Callable[[Entry], None]) -> bool:
        """Settle a new wait at `key` at once, if an event is there; otherwise remember it, and return False."""
        entries = self._entries.get(name)
        if entries:
            settle(entries.popleft())
            return True
        self._waiting.setdefault(name, {})[key] = settle
        return False

    @property
    def entries(self) -> Sequence[Entry]:
        """The events that nobody has taken, in the order in which they were recorded."""
        return sorted(
            (entry for kept in self._entries.values() for entry in kept), key=lambda entry: entry.seq
        )

    def forget(self, name: str, key: str) -> None:
        """The wait at `key` has been settled or given up."""
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiting.pop(key, None)
            if not waiting:
                del self._waiting[name]

    def give(self, entry: Entry) -> str | None:
        """Give an event that nobody took to the wait that is the longest there; return that one's key."""
        waiting = self._waiting.get(entry.name)
        if not waiting:
            self._entries.setdefault(entry.name, deque()).append(entry)
            return None
        key, settle = next(iter(waiting.items()))
        self.forget(entry.name, key)
        settle(entry)
        return key
