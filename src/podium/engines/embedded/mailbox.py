"""Events that have come for a run, and the operations that wait for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.domain.inbox import Delivery


class Mailbox:
    """Brings events and waits of the same name together, both in the order in which they came.

    `events` are those that lay in the inbox when the run was loaded.
    """

    def __init__(self, events: Iterable[Delivery]) -> None:
        self._events: dict[str, deque[Delivery]] = {}
        self._waiting: dict[str, dict[str, None]] = {}
        self._known: set[int] = set()
        for event in events:
            self._known.add(event.id)
            self._events.setdefault(event.name, deque()).append(event)

    def put(self, event: Delivery) -> str | None:
        """Keep an event; return instead the key of the operation that has waited for it the longest, if one does."""
        if event.id in self._known:
            # It was there already when the run was loaded.
            return None
        waiting = self._waiting.get(event.name)
        if waiting:
            key = next(iter(waiting))
            self.forget(event.name, key)
            return key
        self._events.setdefault(event.name, deque()).append(event)
        return None

    def take(self, name: str, key: str) -> Delivery | None:
        """Return the oldest event called `name`; without one, the operation at `key` waits for it from now on."""
        events = self._events.get(name)
        if events:
            return events.popleft()
        self._waiting.setdefault(name, {})[key] = None
        return None

    def forget(self, name: str, key: str) -> None:
        """The operation at `key` waits no longer."""
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiting.pop(key, None)
            if not waiting:
                del self._waiting[name]
