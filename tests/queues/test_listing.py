"""`podium queues list`, from the database alone."""

from __future__ import annotations

import time
from functools import partial

import pytest

from podium import Queue, Settings
from podium.domain.queues import Used
from podium.ports.queues import Ask, Mine
from podium.storage import queues
from podium.storage.queue_order import next_runs
from podium.storage.sqlite.database import open_sqlite
from tests.cli.support import Shell
from tests.queues.support import Desk
from tests.storage.test_tables import plan_of
from tests.support.apps import app_on

HEADINGS = ["queue", "pending", "running", "waiting", "limits", "why"]


async def test_the_list_says_how_long_queues_are_and_why_nothing_moves(tmp_path):
    shell, desk = Shell(tmp_path), Desk()
    limits = [Queue("q", rate="1/h", max_depth=9), Queue("idle", concurrency=2)]
    async with app_on(shell.database, desk.work, queues=limits) as app:
        for name in "abc":
            await app.start(desk.work, name)
        await desk.until_began("a")
        shown = await shell.job("queues", "list")
        assert shown.code == 0
        assert shown.out.split()[: len(HEADINGS)] == HEADINGS
        idle, q = shown.out.splitlines()[1:]
        assert idle.split() == ["idle", "0", "0", "0", "2", "at", "once"]
        assert q.split()[:4] == ["q", "2", "1", "0"]
        assert "rate of 1/h used up; next at about" in q
        as_json = (await shell.job("queues", "list", "--json")).json
        assert [queue["queue"] for queue in as_json] == ["idle", "q"]
        assert as_json[1]["limits"]["max_depth"] == 9
        assert 3500 < as_json[1]["next_at"] - time.time() <= 3600
    stopped = await shell.job("queues", "list")
    assert "no process works on this database" in stopped.out


async def test_runs_in_a_queue_that_is_declared_no_more_are_shown_with_the_reason(tmp_path):
    shell, desk = Shell(tmp_path), Desk()
    async with app_on(shell.database, desk.work, queues=[Queue("q", rate="1/h")]) as app:
        await app.start(desk.work, "a")
        await app.start(desk.work, "b")
        await desk.until_began("a")
    async with app_on(shell.database):
        shown = await shell.job("queues", "list")
        assert "not declared by the process that works on this database" in shown.out


async def test_without_queues_there_is_nothing_to_list(tmp_path):
    shell = Shell(tmp_path)
    async with app_on(shell.database):
        pass
    assert (await shell.job("queues", "list")).out == "No queues.\n"
    assert (await shell.job("queues", "list", "--json")).json == []


@pytest.mark.parametrize("fair", [True, False])
async def test_admission_goes_from_index_to_index_and_never_through_all_pending_runs(database, fair):
    queue = Queue("q", concurrency=5, rate="10/s", fair=fair)
    ask = Ask(queue, Mine(("w",)), 5.0, 10, Used(), {0: "t"})
    storage = await open_sqlite(database, settings=Settings().storage, own=True)
    try:
        for query in (
            partial(queues.use_of, queue=queue, mine=ask.mine, now=5.0, spent=Used()),
            partial(queues.count_pending, queue="q", most=10),
            queues.pending_queues,
            lambda conn: next_runs(conn, ask, 10),
        ):
            plan = await plan_of(storage, query)
            assert any("INDEX ix_runs_queue" in step for step in plan), plan
            assert not any("TEMP B-TREE" in step for step in plan), plan
            assert not any(step.startswith("SCAN runs") and "INDEX" not in step for step in plan), plan
    finally:
        await storage.close()
