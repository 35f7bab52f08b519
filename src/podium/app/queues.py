"""Use-cases on queues: how long they are, what they are limited by, and why nothing moves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from podium.domain.queues import Queue, Room, budget_used, room
from podium.domain.states import RunState
from podium.ports.storage import Storage
from podium.storage import queues
from podium.storage.queue_order import next_start


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A queue as it stands.

    `depth` counts pending runs, `waiting` those that have begun and wait for a person, an event or a time. `limits` is
    None when no process that owned the database lately declared the queue. `reason` says why no pending run begins
    now, and `next_at`, in seconds since the epoch, when one may although no other ends; both are None when one may
    begin at once or there is none.
    """

    name: str
    depth: int
    running: int
    waiting: int
    limits: Queue | None
    reason: str | None
    next_at: float | None


class QueueList:
    """The queues of a database. Works beside a process that owns it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def list(self) -> Sequence[QueueStatus]:
        """Return every queue that is declared, or in which runs are pending, by name."""
        return await self._storage.read(lambda conn: _list(conn, time.time()))


def _list(conn: Any, now: float) -> Sequence[QueueStatus]:
    declared = {queue.name: queue for queue in queues.declared(conn)}
    return [
        _status(conn, name, declared.get(name), now)
        for name in sorted({*declared, *queues.pending_queues(conn)})
    ]


def _status(conn: Any, name: str, limits: Queue | None, now: float) -> QueueStatus:
    depth = queues.count_pending(conn, name)
    running = queues.count_open(conn, name, {RunState.RUNNING})
    waiting = queues.count_open(conn, name, queues.PARKED)
    held = _held(conn, name, limits, now) if depth else Room(None)
    return QueueStatus(name, depth, running, waiting, limits, held.why, held.again_at)


def _held(conn: Any, name: str, limits: Queue | None, now: float) -> Room:
    if limits is None:
        return Room(0, "not declared by the process that works on this database")
    spent = budget_used(queues.spending(conn, limits, now), limits.budget, now)
    free = room(limits, queues.use_of(conn, limits, None, now, spent))
    if free.places == 0:
        return free
    earliest = next_start(conn, name, None)
    if earliest is not None and earliest > now:
        return Room(0, "the next is to begin later", earliest)
    return Room(None)
