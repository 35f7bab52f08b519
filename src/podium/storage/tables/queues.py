"""What queues need: the indexes by which runs are admitted, and the limits that were declared."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    Table,
    Text,
)

from podium.domain.states import RunState
from podium.storage.tables.base import inline, metadata
from podium.storage.tables.runs import QUEUED, runs

IS_PLACED = runs.c.queue.is_not(None)
"""Whether a run is, or was, placed in a queue."""

QUEUED_STATE = runs.c.state == inline([RunState.PENDING])[0]
"""Whether a run has not begun."""

DEBOUNCED = QUEUED_STATE & runs.c.debounce.is_not(None)
"""The condition of the index by which a pending run is found by its debounce key."""

QUEUE_BEGAN = IS_PLACED & runs.c.started_at.is_not(None)
"""The condition of the index by which the latest starts of a queue are found."""

OPEN_QUEUE_STATES = frozenset({RunState.RUNNING, RunState.WAITING, RunState.PAUSED, RunState.BLOCKED})
"""The states of runs that have begun and not ended."""

QUEUE_OPEN = IS_PLACED & runs.c.state.in_(inline(OPEN_QUEUE_STATES))
"""The condition of the index by which a queue's begun and not ended runs are found."""

QUEUE_ENDED = IS_PLACED & runs.c.finished_at.is_not(None)
"""The condition of the index by which the runs of a queue that ended lately are found."""

Index(
    "ix_runs_queued_turns",
    runs.c.queue,
    runs.c.priority.desc(),
    runs.c.tenant,
    runs.c.start_at,
    sqlite_where=QUEUED,
    postgresql_where=QUEUED,
)
Index(
    "ix_runs_queued_age",
    runs.c.queue,
    runs.c.priority.desc(),
    runs.c.start_at,
    sqlite_where=QUEUED,
    postgresql_where=QUEUED,
)
Index("ix_runs_debounced", runs.c.debounce, sqlite_where=DEBOUNCED, postgresql_where=DEBOUNCED)
Index(
    "ix_runs_queue_began",
    runs.c.queue,
    runs.c.started_at,
    sqlite_where=QUEUE_BEGAN,
    postgresql_where=QUEUE_BEGAN,
)
Index("ix_runs_queue_open", runs.c.queue, runs.c.state, sqlite_where=QUEUE_OPEN, postgresql_where=QUEUE_OPEN)
Index(
    "ix_runs_queue_ended",
    runs.c.queue,
    runs.c.finished_at,
    sqlite_where=QUEUE_ENDED,
    postgresql_where=QUEUE_ENDED,
)

queues = Table(
    "queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("concurrency", Integer),
    Column("rate_count", Integer),
    Column("rate_per", Double),
    Column("budget_nanos", BigInteger),
    Column("budget_tokens", BigInteger),
    Column("budget_per", Double),
    Column("max_depth", BigInteger),
    Column("fair", Boolean, nullable=False),
    Column("counts_waiting", Boolean, nullable=False),
)
"""The limits of the queues as the process that owns, or last owned, the database declared them, for all tenants."""
