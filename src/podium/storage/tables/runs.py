"""Runs, with an index for every frequent question, and their attributes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from podium.domain.states import RunState
from podium.storage.tables.base import RowNumber, inline, metadata

runs = Table(
    "runs",
    metadata,
    Column("number", RowNumber, Identity(), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("wake_at", Double),
    Column("waiting_on", Text),
    Column("seed", BigInteger, nullable=False),
    Column("source", Text),
    Column("parent_run", Text),
    Column("parent_key", Text),
    Column("input", LargeBinary),
    Column("input_digest", LargeBinary),
    Column("output", LargeBinary),
    Column("output_digest", LargeBinary),
    Column("error", LargeBinary),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("active_seconds", Double, nullable=False),
    Column("version", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("forked_from_run", Text),
    Column("forked_from_key", Text),
    Column("trigger", Text),
    Column("queue", Text),
    Column("priority", Integer, nullable=False),
    Column("start_at", Double),
    Column("debounce", Text),
    Column("unpriced", Integer, nullable=False, server_default="0"),
)
"""Runs. `input` or `input_digest` is set, never both; the same for output. `error` is an `ErrorRecord` as JSON."""

UNFINISHED = frozenset({RunState.PENDING, RunState.RUNNING})
"""The states of runs that an engine takes up when it starts."""

_IS_PENDING = runs.c.state == inline([RunState.PENDING])[0]
_IS_PLACED = runs.c.queue.is_not(None)

QUEUED = _IS_PENDING & _IS_PLACED
"""The condition of the indexes by which the next runs of a queue are found among any number of pending ones."""

IS_UNFINISHED = runs.c.state.in_(inline(UNFINISHED)) & ~QUEUED
"""The condition of the index by which unfinished runs are found among any number of finished and queued ones."""

WAKES = (runs.c.state == inline([RunState.WAITING])[0]) & runs.c.wake_at.is_not(None)
"""The condition of the index by which waiting runs are found when their time has come."""

Index("ix_runs_state", runs.c.tenant, runs.c.state, runs.c.created_at, runs.c.id)
Index("ix_runs_created", runs.c.tenant, runs.c.created_at, runs.c.id)
Index(
    "ix_runs_unfinished",
    runs.c.created_at,
    runs.c.id,
    sqlite_where=IS_UNFINISHED,
    postgresql_where=IS_UNFINISHED,
)
Index("ix_runs_wake", runs.c.wake_at, sqlite_where=WAKES, postgresql_where=WAKES)
Index("ix_runs_workflow", runs.c.tenant, runs.c.workflow, runs.c.state, runs.c.created_at, runs.c.id)
for _origin in (runs.c.parent_run, runs.c.trigger, runs.c.queue):
    # Most runs have none of them, and those cost nothing here.
    Index(
        f"ix_runs_{_origin.name}",
        runs.c.tenant,
        _origin,
        runs.c.created_at,
        runs.c.id,
        sqlite_where=_origin.is_not(None),
        postgresql_where=_origin.is_not(None),
    )

attributes = Table(
    "attributes",
    metadata,
    Column("run_number", RowNumber, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("number", Double),
    Column("created_at", Double, nullable=False),
    Column("run_id", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What runs are searched by. `text` spells the value, `number` is set when it is a number or a truth value.

`created_at` and `run_id` are the run's, so that the newest runs with a value are neighbours in an index.
"""

Index(
    "ix_attributes_text",
    attributes.c.tenant,
    attributes.c.name,
    attributes.c.text,
    attributes.c.created_at,
    attributes.c.run_id,
)
Index(
    "ix_attributes_name",
    attributes.c.tenant,
    attributes.c.name,
    attributes.c.created_at,
    attributes.c.run_id,
    attributes.c.number,
)

HAS_ENDED = runs.c.finished_at.is_not(None)
"""The condition of the index by which finished runs are found by age."""

IS_CHILD = runs.c.parent_run.is_not(None)
"""The condition of the index by which a run's children are found."""

Index(
    "ix_runs_finished",
    runs.c.workflow,
    runs.c.state,
    runs.c.finished_at,
    sqlite_where=HAS_ENDED,
    postgresql_where=HAS_ENDED,
)
Index("ix_runs_parent", runs.c.parent_run, sqlite_where=IS_CHILD, postgresql_where=IS_CHILD)
