"""Queued runs and the limits of their queues: the repository, and the port that the admission needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from podium.domain.attempts import decode_note
from podium.domain.budgets import Budget
from podium.domain.errors import InvalidInput
from podium.domain.ids import RunId
from podium.domain.journal import EntryType
from podium.domain.money import Money
from podium.domain.queues import Queue, QueueUse, Rate, Spent, Used, room
from podium.domain.states import RunState
from podium.ports.queues import Admission, Admitted, Full, Stored
from podium.storage import blobs
from podium.storage.entries import entries_of, entry_query
from podium.storage.present import insert_unless_present
from podium.storage.queue_order import are_mine, next_runs, next_start, of
from podium.storage.rows import run_row
from podium.storage.runs import get_run
from podium.storage.tables import (
    DEBOUNCED,
    OPEN_QUEUE_STATES,
    QUEUE_BEGAN,
    QUEUE_ENDED,
    QUEUE_OPEN,
    QUEUED,
    inline,
    journal,
    queues,
    runs,
)
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.runs import Run
    from podium.ports.queues import Ask, Mine, Placed
    from podium.ports.storage import Storage

PARKED = frozenset({RunState.WAITING, RunState.PAUSED})
"""The states of runs that have begun and hold nothing until they go on."""

_BEGIN = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"))
    .values(
        state=inline([RunState.RUNNING])[0],
        started_at=func.coalesce(runs.c.started_at, bindparam("began")),
        waiting_on=null(),
    )
)

_COUNT_OPEN = {
    state: select(func.count())
    .select_from(runs)
    .where(QUEUE_OPEN, runs.c.queue == bindparam("queue"), runs.c.state == inline([state])[0], are_mine(runs))
    for state in OPEN_QUEUE_STATES
}
_COUNT_PENDING = select(func.count()).select_from(
    select(literal_column("1"))
    .select_from(runs)
    .where(QUEUED, runs.c.queue == bindparam("queue"))
    .limit(bindparam("most"))
    .subquery()
)
_IN_PERIOD = and_(
    QUEUE_BEGAN,
    runs.c.queue == bindparam("queue"),
    runs.c.started_at > bindparam("after"),
    runs.c.started_at <= bindparam("until"),
)
_COUNT_STARTED = select(func.count()).select_from(runs).where(_IN_PERIOD)
_STARTED = (
    select(runs.c.started_at)
    .where(_IN_PERIOD)
    .order_by(runs.c.started_at)
    .limit(1)
    .offset(bindparam("skipped"))
)
_DEBOUNCED = select(runs.c.number).where(
    DEBOUNCED, *(runs.c[name] == bindparam(name) for name in ("debounce", "queue", "workflow", "tenant"))
)


class StoredQueues:
    """The port `QueueStore` on a database; values longer than `blob_threshold` bytes are kept apart."""

    def __init__(self, storage: Storage, blob_threshold: int) -> None:
        self._storage = storage
        self._threshold = blob_threshold

    async def declare(self, queues: Sequence[Queue]) -> None:
        """See `QueueStore.declare`."""
        if set(await self._storage.read(declared)) != set(queues):
            await self._storage.write(partial(declare, limits=queues))

    async def place(self, run: Run, max_depth: int | None) -> Placed:
        """See `QueueStore.place`."""
        change = partial(place, run=run, max_depth=max_depth, threshold=self._threshold)
        return await self._storage.write(change)

    async def admit(self, ask: Ask) -> Admission:
        """See `QueueStore.admit`."""
        return await self._storage.write(partial(admit, ask=ask))

    async def spending(self, queue: Queue, now: float) -> Sequence[Spent]:
        """See `QueueStore.spending`."""
        return await self._storage.read(partial(spending, queue=queue, now=now))


def declare(conn: Connection, limits: Sequence[Queue]) -> None:
    """Keep the limits of these queues, and of no others."""
    conn.execute(delete(queues))
    for queue in limits:
        conn.execute(insert(queues).values(_queue_row(queue)))


def declared(conn: Connection) -> Sequence[Queue]:
    """Return the declared queues by name."""
    return [_queue_of(row) for row in conn.execute(select(queues).order_by(queues.c.name))]


def place(conn: Connection, run: Run, max_depth: int | None, threshold: int) -> Placed:
    """Store a run that names a queue; see `QueueStore.place`."""
    placement = run.placement
    if placement.queue is None:
        raise InvalidInput(f"run {run.id!a} names no queue that it could be placed in.")
    kept = blobs.split(conn, run.tenant, run.input, threshold)
    if placement.debounce is not None:
        sought = {
            "debounce": placement.debounce,
            "queue": placement.queue,
            "workflow": run.workflow,
            "tenant": run.tenant,
        }
        number = conn.scalar(_DEBOUNCED, sought)
        if number is not None:
            return Stored(_replaced(conn, number, run, kept))
    if max_depth is not None and (depth := count_pending(conn, placement.queue, most=max_depth)) >= max_depth:
        found = get_run(conn, run.id)
        return Full(depth) if found is None else Stored(_available(found, run))
    if insert_unless_present(conn, runs, run_row(run, kept, (None, None))):
        return Stored(run)
    stored = get_run(conn, run.id)
    return Stored(run if stored is None else _available(stored, run))


def admit(conn: Connection, ask: Ask) -> Admission:
    """Make the next runs of a queue `running`; see `QueueStore.admit`."""
    queue, name = ask.queue, ask.queue.name
    free = room(queue, use_of(conn, queue, ask.mine, ask.now, ask.spent))
    picked = next_runs(conn, ask, ask.most if free.places is None else min(ask.most, free.places))
    if picked:
        conn.execute(_BEGIN, [{"of_run": each.number, "began": ask.now} for each in picked])
        free = room(queue, use_of(conn, queue, ask.mine, ask.now, ask.spent))
    earliest = next_start(conn, name, ask.mine)
    closed = free.places == 0
    admitted = [Admitted(each.run, each.priority, each.tenant) for each in picked]
    return Admission(admitted, earliest is not None, closed, free.again_at if closed else earliest)


def use_of(conn: Connection, queue: Queue, mine: Mine | None, now: float, spent: Used) -> QueueUse:
    """Return what the queue's limits are measured against, as far as it has such limits."""
    running = waiting = 0
    if queue.concurrency is not None:
        running = count_open(conn, queue.name, {RunState.RUNNING}, mine)
        waiting = count_open(conn, queue.name, PARKED, mine) if queue.counts_waiting else 0
    started = Used() if queue.rate is None else _started(conn, queue.name, queue.rate, now)
    return QueueUse(running, waiting, started, spent)


def count_open(conn: Connection, queue: str, states: Collection[RunState], mine: Mine | None = None) -> int:
    """Return how many of the queue's begun and not ended runs are in these states."""
    return sum(conn.scalar(_COUNT_OPEN[state], of(queue, mine)) or 0 for state in states)


def count_pending(conn: Connection, queue: str, *, most: int | None = None) -> int:
    """Return how many runs are pending in the queue; of more than `most`, only that many are counted."""
    return conn.scalar(_COUNT_PENDING, {"queue": queue, "most": -1 if most is None else most}) or 0


def pending_queues(conn: Connection) -> Sequence[str]:
    """Return the names of the queues in which runs are pending, declared or not."""
    names: list[str] = []
    query = select(runs.c.queue).where(QUEUED).order_by(runs.c.queue).limit(1)
    name = conn.scalar(query)
    while name is not None:
        names.append(name)
        name = conn.scalar(query.where(runs.c.queue > name))
    return names


def spending(conn: Connection, queue: Queue, now: float) -> Sequence[Spent]:
    """Return what the queue's runs spent within its budget's period, one item for each model call."""
    budget = queue.budget
    if budget is None:
        return []
    calls = entry_query().where(
        journal.c.type == EntryType.ATTEMPT.value, journal.c.at > now - budget.per, runs.c.queue == queue.name
    )
    lately = QUEUE_OPEN, and_(QUEUE_ENDED, runs.c.finished_at > now - budget.per)
    rows = [row for of_runs in lately for row in conn.execute(calls.where(of_runs))]
    entries = entries_of(conn, RunId(""), rows)
    notes = [(entry.at, decode_note(entry.payload).call) for entry in entries]
    return [Spent(at, budget.spent_by(call)) for at, call in notes if call is not None]


def _started(conn: Connection, queue: str, rate: Rate, now: float) -> Used:
    period = {"queue": queue, "after": now - rate.per, "until": now + rate.per}
    count = conn.scalar(_COUNT_STARTED, period) or 0
    if count < rate.count:
        return Used(count)
    # When this one leaves the period, fewer than the limit are left in it.
    oldest = conn.scalar(_STARTED, {**period, "skipped": count - rate.count})
    return Used(count, None if oldest is None else oldest + rate.per)


def _replaced(conn: Connection, number: int, run: Run, kept: tuple[bytes | None, bytes | None]) -> Run:
    values = {
        "input": kept[0],
        "input_digest": kept[1],
        "priority": run.placement.priority,
        "start_at": run.placement.start_at,
        "source": None if run.source is None else storable(run.source),
        "version": storable(run.version),
    }
    earlier = conn.scalar(update(runs).where(runs.c.number == number).values(values).returning(runs.c.id))
    stored = None if earlier is None else get_run(conn, earlier)
    return run if stored is None else stored


def _available(stored: Run, run: Run) -> Run:
    if stored.tenant != run.tenant:
        raise InvalidInput(f"The run id {run.id!a} is not available. Choose another run_id.")
    return stored


def _queue_row(queue: Queue) -> dict[str, Any]:
    amount = None if queue.budget is None else queue.budget.amount
    return {
        "name": queue.name,
        "concurrency": queue.concurrency,
        "rate_count": queue.rate and queue.rate.count,
        "rate_per": queue.rate and queue.rate.per,
        "budget_nanos": amount.nanos if isinstance(amount, Money) else None,
        "budget_tokens": amount if isinstance(amount, int) else None,
        "budget_per": queue.budget and queue.budget.per,
        "max_depth": queue.max_depth,
        "fair": queue.fair,
        "counts_waiting": queue.counts_waiting,
    }


def _queue_of(row: Any) -> Queue:
    amount = row.budget_tokens if row.budget_nanos is None else Money(row.budget_nanos)
    return Queue(
        row.name,
        concurrency=row.concurrency,
        rate=None if row.rate_count is None else Rate(row.rate_count, row.rate_per),
        budget=None if amount is None else Budget(amount, row.budget_per),
        max_depth=row.max_depth,
        fair=row.fair,
        counts_waiting=row.counts_waiting,
    )
