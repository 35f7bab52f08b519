"""The tables: the same on both databases, as the migrations make them, with an index for every frequent question."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from podium.domain.ids import ReviewId, RunId
from podium.domain.runs import Placement
from podium.domain.states import DECIDABLE_REVIEW_STATES, RunState
from podium.storage import entries, inbox, reviews, runs
from podium.storage.revision import HEAD, alembic_config, upgrade
from podium.storage.sqlite.connections import driver
from podium.storage.sqlite.database import SqliteStorage
from podium.storage.tables import metadata
from tests.storage.support import a_run

PAGE = a_run("r", created_at=5.0)
LIST_RUNS = partial(runs.list_runs, tenant="t")
LIST_REVIEWS = partial(reviews.list_reviews, tenant="t")


@pytest.mark.parametrize("database", [sqlite, postgresql], ids=["sqlite", "postgresql"])
def test_every_table_can_be_made_on(database):
    dialect = database.dialect()
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect)).count("\n") > len(table.columns)
        for index in table.indexes:
            assert table.name in str(CreateIndex(index).compile(dialect=dialect))


def test_every_table_but_the_owners_carries_the_tenant():
    without = {table.name for table in metadata.sorted_tables if "tenant" not in table.columns}
    assert without == {"owner"}


def schema(url: str, make: Callable[[Connection], None]) -> dict[str, str]:
    """The statements that a database keeps of its tables and indexes, by name, free of spacing and quotes."""
    engine = create_engine(url)
    with engine.begin() as conn:
        make(conn)
        rows = conn.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    engine.dispose()
    return {name: re.sub(r"[\s\"]", "", sql) for name, sql in rows if name != "alembic_version"}


def test_the_migrations_make_what_the_tables_declare(tmp_path: Path):
    migrated = schema(f"sqlite:///{tmp_path / 'migrated.db'}", upgrade)
    declared = schema(f"sqlite:///{tmp_path / 'declared.db'}", metadata.create_all)
    assert migrated == declared
    assert set(metadata.tables) < set(migrated)


def test_alembic_sees_no_difference_and_the_same_head(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as conn:
        upgrade(conn)
        script = ScriptDirectory.from_config(alembic_config(conn))
        context = MigrationContext.configure(conn)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()
    assert script.get_current_head() == HEAD
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    assert all(re.fullmatch(r"\d{4}", revision) for revision in revisions)


async def test_the_journal_refers_to_runs_by_number_and_its_key_is_its_only_index(storage, path: Path):
    with closing(sqlite3.connect(path)) as raw:
        (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'journal'").fetchone()
        indexes = [name for _, name, *_ in raw.execute("PRAGMA index_list(journal)")]
    assert indexes == ["sqlite_autoindex_journal_1"]
    assert "WITHOUT ROWID" not in sql


async def plan_of(storage: SqliteStorage, query: Callable[[Connection], object]) -> list[str]:
    """How SQLite goes about the statements that `query` makes."""
    statements: list[str] = []

    def explained(conn: Connection) -> list[str]:
        raw = driver(conn)
        raw.set_trace_callback(statements.append)
        try:
            query(conn)
        finally:
            raw.set_trace_callback(None)
        # The trace shows statements with their parameters filled in.
        made = [sql for sql in statements if sql.startswith(("SELECT", "UPDATE", "DELETE"))]
        return [row[3] for sql in made for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}")]

    return await storage.read(explained)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (LIST_RUNS, "runs USING INDEX ix_runs_created (tenant=?)"),
        (
            partial(LIST_RUNS, after=PAGE),
            "runs USING INDEX ix_runs_created (tenant=? AND (created_at,id)<(?,?))",
        ),
        (
            partial(LIST_RUNS, states={RunState.WAITING}),
            "runs USING INDEX ix_runs_state (tenant=? AND state=?)",
        ),
        (
            partial(LIST_RUNS, states={RunState.WAITING}, after=PAGE),
            "runs USING INDEX ix_runs_state (tenant=? AND state=? AND (created_at,id)<(?,?))",
        ),
        (partial(runs.count_by_state, tenant="t"), "runs USING COVERING INDEX ix_runs_state (tenant=?)"),
        (partial(runs.get_run, run=RunId("r")), "runs USING INDEX sqlite_autoindex_runs_1 (id=?)"),
        (partial(runs.unfinished, limit=10), "runs USING INDEX ix_runs_unfinished"),
        (
            partial(runs.unfinished, limit=10, after=PAGE),
            "runs USING INDEX ix_runs_unfinished ((created_at,id)>(?,?))",
        ),
        (partial(runs.due, now=5.0, limit=10), "runs USING INDEX ix_runs_wake (wake_at>? AND wake_at<?)"),
        (runs.next_wake, "runs USING INDEX ix_runs_wake (wake_at>?)"),
        (
            partial(LIST_REVIEWS, queue="q", states=["open"]),
            "reviews USING INDEX ix_reviews_queue (tenant=? AND queue=? AND state=?)",
        ),
        (
            partial(LIST_REVIEWS, states=["open"]),
            "reviews USING INDEX ix_reviews_state (tenant=? AND state=?)",
        ),
        (partial(inbox.list_deliveries, after=7), "inbox USING INTEGER PRIMARY KEY (rowid>?)"),
        (
            partial(inbox.list_deliveries, run=RunId("r")),
            "inbox USING INDEX ix_inbox_run_id (run_id=? AND rowid>?)",
        ),
        (
            partial(entries.entries, run=RunId("r"), after=3),
            "journal USING INDEX sqlite_autoindex_journal_1 (run_number=? AND seq>?)",
        ),
    ],
)
async def test_lists_are_read_in_the_order_of_an_index(storage, query, index: str):
    plan = await plan_of(storage, query)
    assert any(step.endswith(index) for step in plan), plan
    assert not any("TEMP B-TREE" in step and "LAST" not in step for step in plan), plan
    assert not any(step.startswith("SCAN") and "INDEX" not in step for step in plan), plan


async def test_several_states_at_once_still_use_the_index(storage):
    for query, index in (
        (partial(LIST_REVIEWS, states=DECIDABLE_REVIEW_STATES), "ix_reviews_state"),
        (partial(LIST_REVIEWS, states=DECIDABLE_REVIEW_STATES, queue="q"), "ix_reviews_queue"),
        (partial(reviews.get_review, review=ReviewId("r")), "sqlite_autoindex_reviews_1"),
    ):
        plan = await plan_of(storage, query)
        assert any(f"reviews USING INDEX {index}" in step for step in plan), plan


async def test_a_database_of_an_earlier_revision_keeps_its_runs_and_deliveries(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as conn:
        command.upgrade(alembic_config(conn), "0001")
        conn.execute(
            text(
                "INSERT INTO runs (id, tenant, workflow, state, created_at, seed, input, input_tokens, "
                "output_tokens, cost_nanos, active_seconds) "
                "VALUES ('r', 'default', 'w', 'waiting', 1.0, 7, x'7b7d', 1, 2, 3, 0.5)"
            )
        )
        conn.execute(
            text(
                "INSERT INTO inbox (tenant, run_id, kind, key, payload, failed, at) "
                "VALUES ('default', 'r', 'cancel', '', x'6e756c6c', 0, 2.0)"
            )
        )
        upgrade(conn)
        run = runs.get_run(conn, RunId("r"))
        assert run is not None
        assert (run.seed, run.version, run.generation, run.placement) == (7, "", 0, Placement())
        assert [delivery.run for delivery in inbox.list_deliveries(conn)] == ["r"]
    engine.dispose()
