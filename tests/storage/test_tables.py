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

from podium.domain.filter_language import parse_filter
from podium.domain.filters import StateIs
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


def test_every_table_but_those_of_the_owning_process_carries_the_tenant():
    without = {table.name for table in metadata.sorted_tables if "tenant" not in table.columns}
    assert without == {"gateway_status", "server_status", "owner", "queues"}


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
        (LIST_RUNS, "runs USING COVERING INDEX ix_runs_created (tenant=?)"),
        (
            partial(LIST_RUNS, after=PAGE),
            "runs USING COVERING INDEX ix_runs_created (tenant=? AND (created_at,id)<(?,?))",
        ),
        (
            partial(LIST_RUNS, filter=StateIs((RunState.WAITING,))),
            "runs USING COVERING INDEX ix_runs_state (tenant=? AND state=?)",
        ),
        (
            partial(LIST_RUNS, filter=StateIs((RunState.WAITING,)), after=PAGE),
            "runs USING COVERING INDEX ix_runs_state (tenant=? AND state=? AND (created_at,id)<(?,?))",
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


BY_STATE = "runs USING COVERING INDEX ix_runs_state (tenant=? AND state=?{})"
BY_WORKFLOW = "runs USING COVERING INDEX ix_runs_workflow (tenant=? AND workflow=? AND state=?{})"
BY_TIME = "runs USING COVERING INDEX ix_runs_created (tenant=?{})"
BY_TEXT = "attributes USING COVERING INDEX ix_attributes_text (tenant=? AND name=? AND text=?{})"
BY_NAME = "attributes USING COVERING INDEX ix_attributes_name (tenant=? AND name=?{})"
ORIGIN = "runs USING COVERING INDEX ix_runs_{0} (tenant=? AND {0}=?{{}})"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [BY_TIME]),
        ("state:failed", [BY_STATE]),
        ("state:failed,blocked", [BY_STATE] * 2),
        ("state!=completed", [BY_STATE] * 7),
        ("workflow:support", [BY_WORKFLOW] * 8),
        ("workflow:support state:failed", [BY_WORKFLOW]),
        ("workflow:support,billing state:failed,blocked", [BY_WORKFLOW] * 4),
        ("attr.customer=42", [BY_TEXT]),
        ("attr.customer=042", [BY_TEXT] * 2),
        ("attr.customer=42 state:failed", [BY_TEXT]),
        ("attr.amount>100", [BY_NAME]),
        ("attr.amount:*", [BY_NAME]),
        ("parent:desk-1", [ORIGIN.format("parent_run")]),
        ("trigger:nightly", [ORIGIN.format("trigger")]),
        ("queue:slow cost>1", [ORIGIN.format("queue").replace("COVERING ", "")]),
        ("state:failed or attr.vip=true", [BY_STATE, BY_TEXT]),
        ("(state:failed or state:blocked) workflow:support", [BY_WORKFLOW] * 8),
        ("(state:failed (workflow:support cost>1))", [BY_WORKFLOW.replace("COVERING ", "")]),
    ],
)
async def test_runs_are_filtered_along_an_index_in_its_order(storage, text: str, places: list[str]):
    whole, page = PAGE, partial(LIST_RUNS, filter=parse_filter(text))
    for query, cut in ((page, ""), (partial(page, after=whole), " AND ({},{})<(?,?)")):
        plan = await plan_of(storage, query)
        for place in set(places):
            id = "run_id" if place.startswith("attributes") else "id"
            step = f"SEARCH {place.format(cut.format('created_at', id))}"
            # The plans of what is looked along before a way is chosen come first.
            assert plan.count(step) >= places.count(place), (step, plan)
        assert not any("TEMP B-TREE" in step or step.startswith("SCAN runs") for step in plan), plan


@pytest.mark.parametrize(
    ("text", "range"),
    [
        ("created>2026-01-01", "created_at>?"),
        ("created<2026-01-01", "created_at<?"),
        ("created=2026-01-01", "created_at>? AND created_at<?"),
    ],
)
async def test_times_of_creation_cut_the_stretch_of_the_index(storage, text: str, range: str):
    for more, place in (("", BY_TIME), (" state:failed", BY_STATE), (" attr.x=1", BY_TEXT)):
        plan = await plan_of(storage, partial(LIST_RUNS, filter=parse_filter(text + more)))
        assert plan == [f"SEARCH {place.format(f' AND {range}')}"]


async def test_a_page_begins_where_the_last_one_ended_and_not_where_the_times_do(storage):
    filter = parse_filter("created>1970-01-01 created<2026-01-01 state:failed")
    plan = await plan_of(storage, partial(LIST_RUNS, filter=filter, after=PAGE))
    assert plan == [f"SEARCH {BY_STATE.format(' AND created_at>? AND (created_at,id)<(?,?)')}"]


async def test_few_runs_whose_ids_begin_alike_are_found_by_them(storage):
    plan = await plan_of(storage, partial(LIST_RUNS, filter=parse_filter("id:ticket-4")))
    assert "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id>? AND id<?)" in plan


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
