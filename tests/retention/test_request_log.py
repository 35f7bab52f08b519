"""The log of requests and the books of budgets do not grow for ever, whoever looks after them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from podium.app.bookkeeping import Bookkeeper
from podium.app.retention import Keeper
from podium.app.rounds import Round
from podium.domain.budgets import Budget, Charge, Scope, Spender
from podium.domain.requests import ServedRequest
from podium.providers import Script
from podium.settings import RetentionSettings
from podium.storage import requests
from podium.storage.sqlite.database import SqliteStorage
from tests.budgets.support import Clock, budgets_on
from tests.cli.conftest import shell
from tests.cli.support import Shell
from tests.retention.support import DAY, NOW, rows
from tests.server.support import serving
from tests.storage.support import opened

__all__ = ["shell"]
KEPT = RetentionSettings(requests="30d", share=1.0)


def served(id: str, age: float) -> ServedRequest:
    return ServedRequest(id, NOW - age, "chat", status=200)


async def log(storage: SqliteStorage, *ages: float) -> None:
    found = [served(f"r-{number}", age) for number, age in enumerate(ages)]
    await storage.write(lambda conn: requests.add_requests(conn, found))


async def ids(storage: SqliteStorage) -> list[str]:
    return [id for (id,) in await rows(storage, "SELECT id FROM requests ORDER BY number")]


def books(storage: SqliteStorage, settings: RetentionSettings = KEPT) -> Bookkeeper:
    return Bookkeeper(storage, settings, clock=lambda: NOW)


async def test_rows_go_at_their_age_and_not_before(storage):
    await log(storage, 40 * DAY, 31 * DAY, 29 * DAY, 32 * DAY, 0)
    assert await books(storage).due() == 3
    assert (await books(storage).round()).requests == 3
    assert await ids(storage) == ["r-2", "r-4"]
    assert await books(storage).round() == Round()


async def test_without_an_age_nothing_is_deleted(storage):
    await log(storage, 4000 * DAY)
    assert await books(storage, RetentionSettings()).due() == 0
    assert await books(storage, RetentionSettings()).round() == Round()
    assert await ids(storage) == ["r-0"]


async def test_many_rows_go_in_transactions_of_a_few(storage):
    await log(storage, *(40 * DAY for _ in range(5000)), 0)
    counts: list[int] = []

    def note(more: Round) -> None:
        counts.append(more.requests)

    keeper = Bookkeeper(storage, KEPT, note=note, clock=lambda: NOW)
    assert await keeper.round() == Round(requests=5000)
    assert sum(counts) == 5000
    assert max(counts) <= 500
    assert await ids(storage) == ["r-5000"]


async def test_the_owners_keeper_does_it_too_but_not_for_one_workflow(storage):
    await log(storage, 40 * DAY)
    assert await Keeper(storage, KEPT, workflow="support", clock=lambda: NOW).round() == Round()
    assert (await Keeper(storage, KEPT, clock=lambda: NOW).due()).requests == 1
    assert (await Keeper(storage, KEPT, clock=lambda: NOW).round()).requests == 1
    assert await ids(storage) == []


async def test_windows_that_ended_a_day_ago_are_forgotten_and_others_are_not(storage):
    clock = Clock(NOW - 3 * DAY)
    minute, always = Budget("5 requests/min", scope=Scope.KEY), Budget("$5/forever")
    budgets = budgets_on(storage, minute, always, clock=clock)
    me = Spender(key="me")
    for day in range(4):
        clock.now = NOW - day * DAY
        (await budgets.reserve(me, Charge(1, 1, 1), budgets.applying(me))).settle(None)
    # Somebody was killed while it held something of an old window.
    killed = budgets_on(storage, minute, clock=Clock(NOW - 3 * DAY), holder="killed")
    await killed.reserve(me, Charge(0, 0, 2), [minute])
    await budgets.close()
    await books(storage).round()
    left = await rows(storage, "SELECT budget, spent FROM budget_windows ORDER BY budget, window")
    assert [tuple(row) for row in left] == [
        ("key requests/min", 1),
        ("key requests/min", 1),
        ("tenant money/forever", 4),
    ]
    assert await rows(storage, "SELECT * FROM budget_holds") == []


async def test_a_serving_process_alone_keeps_its_log_short(tmp_path: Path):
    storage = await opened(tmp_path / "podium.db")
    await log(storage, 4000 * DAY)
    await storage.close()
    settings = replace(KEPT, every=0.05)
    async with serving(
        tmp_path, aliases={"m": "scripted:s"}, scripts={"s": Script(["Hello."])}, retention=settings
    ) as server:
        async with server.http() as client:
            await client.post("/v1/chat/completions", json={"model": "m", "messages": []})
        async with asyncio.timeout(10):
            while [row.id for row in await server.log(1)] in ([], ["r-0"]) or len(await server.log(1)) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_it_is_done_by_hand_too(shell: Shell):
    storage = await opened(shell.database)
    await log(storage, *(8000 * DAY for _ in range(20)))
    await storage.close()
    tried = shell.podium("maintain", "--keep-requests", "90d", "--dry-run")
    assert "delete 20 rows of the server's log. Nothing was changed." in tried.out
    done = shell.podium("maintain", "--keep-requests", "90d", "--json")
    assert json.loads(done.out)["requests"] == 20
    assert shell.rows("SELECT count(*) FROM requests") == [(0,)]
