"""The tables, declared once for SQLite and PostgreSQL.

A run is named by text outside and by a number inside: the journal, by far the largest table, refers to the
number, which keeps its index small and its newest entries together.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    literal_column,
)

from podium.domain.states import RunState

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# Only a column of exactly this type is SQLite's own row number, which costs neither space nor an index.
_RowNumber = BigInteger().with_variant(Integer(), "sqlite")


def inline(states: Iterable[StrEnum]) -> list[ColumnElement[Any]]:
    """Return the states as literals: a planner matches a partial index by its text, not by parameters."""
    return [literal_column(f"'{state.value}'", Text()) for state in sorted(states)]


runs = Table(
    "runs",
    metadata,
    Column("number", _RowNumber, Identity(), primary_key=True),
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
    Column("run_number", _RowNumber, primary_key=True, autoincrement=False),
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

journal = Table(
    "journal",
    metadata,
    Column("run_number", _RowNumber, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("kind", Text),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("payload", LargeBinary),
    Column("payload_digest", LargeBinary),
    Column("started_at", Double, nullable=False),
    Column("at", Double, nullable=False),
)
"""Journal entries. `payload` or `payload_digest` is set, never both."""

blobs = Table(
    "blobs",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("form", Integer, nullable=False, server_default="0"),
)
"""The pieces of long values, each kept once within its tenant, by content; `podium.storage.blobs` says how."""

kept_values = Table(
    "kept_values",
    metadata,
    Column("id", _RowNumber, Identity(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    # Whoever looks for values without a use remembers the last id that it saw.
    sqlite_autoincrement=True,
)
"""Long values that were referred to lately, in that order: what must not be removed, however unused it was before."""

archives = Table(
    "archives",
    metadata,
    Column("run_number", _RowNumber, primary_key=True, autoincrement=False),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
)
"""Journals, or their beginnings, folded: what `podium.storage.folding` makes of one generation of a run."""

archive_values = Table(
    "archive_values",
    metadata,
    Column("run_number", _RowNumber, primary_key=True, autoincrement=False),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", Text, nullable=False),
)
"""The long values that archives refer to."""

reviews = Table(
    "reviews",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("proposal", LargeBinary),
    Column("proposal_digest", Text, nullable=False),
    Column("schema", LargeBinary, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("allowed", Text, nullable=False),
    Column("due", Double),
    Column("opened_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Index("uq_reviews_run_id_key", "run_id", "key", unique=True),
)
"""Reviews. `allowed` holds the verdicts separated by spaces; `due` is in seconds from opening.

`due_at` is infinite when nothing is due, so that such reviews come last on every database.
"""

Index(
    "ix_reviews_queue",
    reviews.c.tenant,
    reviews.c.queue,
    reviews.c.state,
    reviews.c.priority.desc(),
    reviews.c.due_at,
    reviews.c.opened_at,
    reviews.c.id,
)
Index(
    "ix_reviews_state",
    reviews.c.tenant,
    reviews.c.state,
    reviews.c.priority.desc(),
    reviews.c.due_at,
    reviews.c.opened_at,
    reviews.c.id,
)

decisions = Table(
    "decisions",
    metadata,
    Column("review_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("value", LargeBinary),
    Column("comment", Text, nullable=False),
    Column("decided_at", Double, nullable=False),
    Column("proposal_digest", Text, nullable=False),
)
"""What stands for each decided review: at most one row, the first that arrived."""

inbox = Table(
    "inbox",
    metadata,
    Column("id", _RowNumber, Identity(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("run_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("at", Double, nullable=False),
    Column("since", Double),
    Column("name", Text, nullable=False),
    # Readers remember the last id they saw, so the id of a taken delivery must never come again.
    sqlite_autoincrement=True,
)
"""Deliveries that no run has taken into its journal yet."""

event_keys = Table(
    "event_keys",
    metadata,
    Column("run_number", _RowNumber, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("dedupe", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
)
"""The keys of events that were accepted, by which the same event sent again is known; they outlive the event."""

chunks = Table(
    "chunks",
    metadata,
    Column("id", _RowNumber, Identity(), primary_key=True),
    Column("run_number", _RowNumber, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    Index("uq_chunks_place", "run_number", "key", "attempt", "offset", unique=True),
    Index("ix_chunks_run", "run_number", "id"),
    # Readers remember the last id they saw, so the id of a chunk must never come again.
    sqlite_autoincrement=True,
)
"""What runs publish while they work. `superseded` marks that an attempt's earlier chunks no longer count."""

triggers = Table(
    "triggers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("source", Text),
    Column("cron", Text),
    Column("timezone", Text),
    Column("every", Double),
    Column("mark", Double, nullable=False),
    Column("firing", Double),
    Column("last_at", Double),
    Column("last_run", Text),
    Column("next_at", Double),
    Column("paused", Boolean, nullable=False),
    Column("missed", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("error", LargeBinary),
    Column("error_at", Double),
)
"""Triggers that a process has taken up, and how far each has come."""

emitted = Table(
    "emitted",
    metadata,
    Column("id", _RowNumber, Identity(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("trigger", Text),
    Column("payload", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    # Ids of runs are made of these ids, so the id of an event that is gone must never come again.
    sqlite_autoincrement=True,
)
"""Events for triggers that no process has taken yet; with `trigger`, for that one alone."""

emitted_keys = Table(
    "emitted_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("dedupe", Text, primary_key=True),
    Column("at", Double, nullable=False),
)
"""The keys of events that were emitted for triggers; they outlive the event."""

owner = Table(
    "owner",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("since", Double, nullable=False),
)
"""One row: the process that owns, or last owned, the database. Its epoch grows with each change of owner."""

# Declared apart, and part of the same metadata wherever that is asked for.
import podium.storage.queue_tables  # noqa: E402, F401
