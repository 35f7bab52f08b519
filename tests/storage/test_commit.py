"""Committing: all or nothing, in order, acknowledged together and only when on disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from podium.domain.answers import Usage
from podium.domain.errors import ErrorRecord, InvalidInput, StorageUnavailable
from podium.domain.runs import Parent, Spending
from podium.domain.states import RUN_TRANSITIONS, TERMINAL_RUN_STATES, RunState
from podium.ports.journal import Append, CreateRun
from podium.storage import runs
from podium.storage.entries import entries
from podium.storage.sqlite.connections import driver
from podium.storage.tables import runs as runs_table
from tests.storage.support import a_run, an_entry, appended, committed, loaded, move, opened


async def test_what_was_committed_is_loaded(storage):
    run = await storage.create(a_run())
    made = [an_entry(run.id, 1), an_entry(run.id, 2, kind=None), an_entry(run.id, 3, b"null", attempt=4)]
    await committed(storage, *map(Append, made))
    found = await loaded(storage, run)
    assert found.run == run
    assert list(found.entries) == made


async def test_an_unknown_run_loads_as_none(storage):
    assert await storage.load(a_run().id) is None


async def test_every_field_of_a_run_is_kept(storage):
    parent = await storage.create(a_run())
    run = a_run(
        "order 66 / ünïcode",
        tenant="acme",
        state=RunState.WAITING,
        output=b'{"sent": true}',
        error=ErrorRecord("StepFailed", "it broke", retryable=True, where="desk.py:41"),
        parent=Parent(parent.id, "0:support#1"),
        source="desk.py:support",
        started_at=1.25,
        finished_at=2.5,
        wake_at=3.75,
        waiting_on="review 1a2b3c4d in queue support",
        spending=Spending(Usage(10, 20), 30, 0.5),
        seed=2**62 - 1,
    )
    await storage.create(run)
    found = await loaded(storage, run)
    assert found.run == run


async def test_a_run_id_is_one_run(storage):
    first = await storage.create(a_run("ticket-42", seed=1))
    again = await storage.create(a_run("ticket-42", seed=2, input=b'"other"'))
    assert again == first


async def test_starting_the_same_run_many_times_at_once_makes_one(storage):
    many = await asyncio.gather(*(storage.create(a_run("ticket-42", seed=seed)) for seed in range(50)))
    assert len(set(many)) == 1


async def test_another_tenants_run_is_not_handed_out(storage):
    await storage.create(a_run("ticket-42", tenant="acme"))
    with pytest.raises(InvalidInput, match="'ticket-42' is not available"):
        await storage.create(a_run("ticket-42", tenant="umbrella"))


async def test_creating_within_a_commit_keeps_what_is_there(storage):
    first = await storage.create(a_run("child", seed=1))
    await committed(storage, CreateRun(a_run("child", seed=2)), CreateRun(a_run("sibling")))
    found = await loaded(storage, first)
    assert found.run == first
    assert await storage.load(a_run("sibling").id) is not None


async def test_acknowledgements_come_in_the_order_of_the_calls(storage):
    run = await storage.create(a_run())
    told: list[int] = []
    for seq in range(1, 5001):
        storage.commit([Append(an_entry(run.id, seq))], partial(told.append, seq))
    await storage.write(lambda conn: None)
    assert told == list(range(1, 5001))


async def test_functions_and_commits_are_done_in_the_order_of_the_calls(storage):
    run = await storage.create(a_run())
    storage.commit(appended(run, range(1, 4)))
    first = asyncio.ensure_future(storage.write(lambda conn: len(entries(conn, run.id))))
    await asyncio.sleep(0)
    storage.commit(appended(run, range(4, 6)))
    second = asyncio.ensure_future(storage.write(lambda conn: len(entries(conn, run.id))))
    assert [await first, await second] == [3, 5]


async def test_many_commits_share_one_transaction(path: Path):
    storage = await opened(path)
    run = await storage.create(a_run())
    transactions = 0

    def count(_statement: str) -> None:
        nonlocal transactions
        transactions += _statement.startswith("COMMIT")

    await storage.write(lambda conn: driver(conn).set_trace_callback(count))
    for seq in range(1, 1001):
        storage.commit([Append(an_entry(run.id, seq))])
    await storage.write(lambda conn: driver(conn).set_trace_callback(None))
    await storage.close()
    assert 0 < transactions < 20


async def test_acknowledged_means_visible_to_another_process(storage, path: Path):
    run = await storage.create(a_run())
    visible: list[int] = []
    with closing(sqlite3.connect(path)) as other:

        def look() -> None:
            visible.append(other.execute("SELECT count(*) FROM journal").fetchone()[0])

        for seq in range(1, 201):
            storage.commit([Append(an_entry(run.id, seq))], look)
        await storage.write(lambda conn: None)
    assert len(visible) == 200
    assert all(count >= number for number, count in enumerate(visible, 1))


async def test_a_callback_that_fails_is_logged_and_the_others_go_on(
    storage, caplog: pytest.LogCaptureFixture
):
    run = await storage.create(a_run())
    told: list[str] = []

    def fail() -> None:
        raise RuntimeError("a watcher broke")

    with caplog.at_level(logging.ERROR):
        storage.commit([Append(an_entry(run.id, 1))], fail)
        storage.commit([Append(an_entry(run.id, 2))], partial(told.append, "second"))
        await storage.write(lambda conn: None)
    assert told == ["second"]
    assert "a watcher broke" in caplog.text


async def test_what_a_function_raises_undoes_its_own_writes_only(storage):
    run = await storage.create(a_run())

    def half(conn) -> None:
        conn.execute(text("UPDATE runs SET workflow = 'spoilt'"))
        conn.execute(text("DELETE FROM journal"))
        raise LookupError("changed my mind")

    storage.commit(appended(run, range(1, 4)))
    failing = asyncio.ensure_future(storage.write(half))
    await asyncio.sleep(0)
    after = asyncio.ensure_future(storage.write(lambda conn: "went on"))
    storage.commit(appended(run, range(4, 6)))
    with pytest.raises(LookupError, match="changed my mind"):
        await failing
    assert await after == "went on"
    await storage.write(lambda conn: None)
    found = await loaded(storage, run)
    assert found.run.workflow == "support"
    assert [entry.seq for entry in found.entries] == [1, 2, 3, 4, 5]


async def test_a_broken_rule_of_the_database_is_the_functions_own_fault(storage):
    def twice(conn) -> None:
        row = {column.name: None for column in runs_table.columns}
        conn.execute(insert(runs_table), row)

    with pytest.raises(Exception, match="NOT NULL"):
        await storage.write(twice)
    assert await storage.write(lambda conn: "still open") == "still open"


async def test_whatever_a_function_raises_reaches_its_caller(storage):
    def stop(conn) -> None:
        raise StopIteration("a future cannot carry this one")

    with pytest.raises(RuntimeError, match="StopIteration"):
        await storage.write(stop)


async def test_a_caller_that_gave_up_does_not_hold_up_the_others(storage):
    slow = asyncio.ensure_future(storage.write(lambda conn: threading.Event().wait(0.2)))
    await asyncio.sleep(0)
    slow.cancel()
    assert await storage.write(lambda conn: "served") == "served"


async def test_reading_sees_one_state_and_cannot_write(storage):
    await storage.create(a_run())
    with pytest.raises(Exception, match="readonly"):
        await storage.read(lambda conn: conn.execute(text("DELETE FROM runs")))

    first_read, writing_done = threading.Event(), threading.Event()

    def look_twice(conn) -> tuple[int, int]:
        before = runs.totals(conn, tenant="default").runs
        first_read.set()
        writing_done.wait(20)
        return before, runs.totals(conn, tenant="default").runs

    reading = asyncio.ensure_future(storage.read(look_twice))
    await asyncio.to_thread(first_read.wait, 20)
    await storage.create(a_run())
    writing_done.set()
    assert await reading == (1, 1)
    assert (await storage.read(partial(runs.totals, tenant="default"))).runs == 2


async def test_closing_finishes_what_is_queued(path: Path):
    storage = await opened(path)
    run = await storage.create(a_run())
    told: list[int] = []
    for seq in range(1, 3001):
        storage.commit([Append(an_entry(run.id, seq))], partial(told.append, seq))
    await storage.close()
    assert told == list(range(1, 3001))


async def test_the_first_move_to_running_and_the_last_move_set_their_times(storage):
    run = await storage.create(a_run())
    spent = Spending(Usage(1, 2), 3, 4.0)
    await committed(storage, move(run, RunState.RUNNING, 10.0))
    await committed(storage, move(run, RunState.WAITING, 11.0, wake_at=99.0, waiting_on="a timer"))
    waiting = (await loaded(storage, run)).run
    await committed(storage, move(run, RunState.RUNNING, 12.0))
    await committed(storage, move(run, RunState.COMPLETED, 13.0, output=b'"done"', spending=spent))
    completed = (await loaded(storage, run)).run
    assert (waiting.started_at, waiting.finished_at) == (10.0, None)
    assert (waiting.wake_at, waiting.waiting_on) == (99.0, "a timer")
    assert (completed.started_at, completed.finished_at) == (10.0, 13.0)
    assert (completed.wake_at, completed.waiting_on, completed.output) == (None, None, b'"done"')
    assert completed.spending == spent


async def test_a_failed_run_tried_again_is_not_finished(storage):
    run = await storage.create(a_run())
    error = ErrorRecord("StepFailed", "it broke")
    await committed(storage, move(run, RunState.RUNNING), move(run, RunState.FAILED, error=error))
    failed = (await loaded(storage, run)).run
    await committed(storage, move(run, RunState.RUNNING))
    again = (await loaded(storage, run)).run
    assert (failed.error, failed.finished_at) == (error, 5.0)
    assert (again.error, again.finished_at) == (None, None)


@pytest.mark.parametrize("source", RunState)
@pytest.mark.parametrize("target", RunState)
async def test_a_run_moves_as_the_table_of_states_says(path: Path, source: RunState, target: RunState):
    storage = await opened(path, synchronous="OFF")
    run = await storage.create(a_run("moving", state=source))
    failures: list[Exception] = []
    storage.on_failure(failures.append)
    storage.commit([move(run, target)])
    allowed = target in RUN_TRANSITIONS[source]
    if allowed:
        await storage.write(lambda conn: None)
    else:
        with pytest.raises(
            StorageUnavailable, match=f"run 'moving' is {source}, .* tried to make it {target}"
        ):
            await storage.write(lambda conn: None)
    stored = (await loaded(storage, run)).run
    await storage.close()
    assert stored.state is (target if allowed else source)
    assert bool(failures) is not allowed
    assert (stored.finished_at is not None) is (allowed and target in TERMINAL_RUN_STATES)


@pytest.mark.parametrize("change", [Append(an_entry("nobody", 1)), move(a_run("nobody"), RunState.RUNNING)])
async def test_a_change_of_a_run_that_is_not_there_stops_the_journal(path: Path, change):
    storage = await opened(path)
    storage.commit([change])
    with pytest.raises(StorageUnavailable, match="there is no run 'nobody'"):
        await storage.write(lambda conn: None)
    await storage.close()


async def test_a_journal_entry_is_never_written_twice(path: Path):
    storage = await opened(path)
    run = await storage.create(a_run())
    await committed(storage, Append(an_entry(run.id, 1, b'"first"')))
    storage.commit([Append(an_entry(run.id, 1, b'"second"'))])
    with pytest.raises(StorageUnavailable, match="UNIQUE constraint failed: journal"):
        await storage.write(lambda conn: None)
    found = await loaded(storage, run)
    await storage.close()
    assert [entry.payload for entry in found.entries] == [b'"first"']


async def test_text_that_utf8_cannot_hold_stops_nothing(storage):
    run = await storage.create(a_run())
    broken = "from the export: \udce9\0"
    await committed(
        storage,
        move(run, RunState.RUNNING),
        move(run, RunState.BLOCKED, error=ErrorRecord("Broken", broken), waiting_on=broken),
    )
    stored = (await loaded(storage, run)).run
    assert stored.waiting_on == "from the export: ?\N{REPLACEMENT CHARACTER}"
    assert stored.error == ErrorRecord("Broken", "from the export: ?\N{REPLACEMENT CHARACTER}")


async def test_more_runs_than_are_remembered_are_no_trouble(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("podium.storage.sqlite.changes._REMEMBERED", 3)
    storage = await opened(path)
    made = await asyncio.gather(*(storage.create(a_run()) for _ in range(10)))
    for seq in (1, 2):
        await committed(storage, *(Append(an_entry(run.id, seq)) for run in made))
    loaded = [await storage.load(run.id) for run in made]
    await storage.close()
    assert [[entry.seq for entry in run.entries] for run in loaded if run] == [[1, 2]] * 10
