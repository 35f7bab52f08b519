"""What nothing asks for any more is forgotten: ended windows of budgets, and keys of events emitted long ago."""

from __future__ import annotations

from functools import partial

import pytest

from podium import Settings, workflow
from podium.app.podium import Podium
from podium.app.retention import Keeper
from podium.domain.budgets import Budget, Scope, Spender
from podium.domain.errors import InvalidInput
from podium.domain.triggers import Emission
from podium.settings import RetentionSettings
from podium.storage import forgetting, triggers
from podium.storage.sqlite.database import SqliteStorage
from tests.budgets.support import Clock, budgets_on, spend
from tests.retention.support import DAY, HOUR, NOW, ended, rows
from tests.support.apps import until

A_DAY = Budget("$5", per="day", scope=Scope.TENANT)
A_RUN = Budget("$5", scope=Scope.RUN)


def looking(storage: SqliteStorage, workflow: str | None = None, keys: str | None = "90d") -> Keeper:
    settings = RetentionSettings(share=1.0, forget_keys=keys)
    return Keeper(storage, settings, workflow=workflow, clock=lambda: NOW)


async def spent(
    storage: SqliteStorage, age: float, budget: Budget, run: str = "r", *, held: bool = False
) -> None:
    """Something was spent so many seconds before `NOW`, and perhaps more is held still."""
    budgets = budgets_on(storage, budget, clock=Clock(NOW - age))
    await spend(budgets, 5, spender=Spender(tenant="default", run=run))
    await budgets.close()
    if held:
        sql = (
            "INSERT INTO budget_holds SELECT tenant, budget, subject, window, 'killed', 7 FROM budget_windows"
        )
        await storage.write(lambda conn: conn.exec_driver_sql(sql))


async def emitted(storage: SqliteStorage, key: str, age: float) -> bool:
    emission = Emission("paid", b"1", dedupe=key)
    return await storage.write(partial(triggers.emit, emission=emission, at=NOW - age, tenant="default"))


async def count(storage: SqliteStorage, table: str) -> int:
    ((found,),) = await rows(storage, f"SELECT count(*) FROM {table}")
    return int(found)


async def test_windows_go_a_day_after_they_ended_with_what_is_held_of_them(storage):
    await spent(storage, 3 * DAY, A_DAY, held=True)
    await spent(storage, HOUR, A_DAY)
    assert (await looking(storage).round()).forgotten == 1
    assert await count(storage, "budget_windows") == 1
    assert await count(storage, "budget_holds") == 0
    assert (await looking(storage).round()).forgotten == 0


async def test_the_budget_of_a_run_goes_when_the_run_is_gone(storage):
    await ended(storage, "there")
    await spent(storage, 3 * DAY, A_RUN, "there")
    await spent(storage, 3 * DAY, A_RUN, "gone")
    await spent(storage, HOUR, A_RUN, "just gone")
    await looking(storage).round()
    left = await rows(storage, "SELECT subject FROM budget_windows ORDER BY subject")
    assert left == [("just gone",), ("there",)]


async def test_a_run_begun_again_under_its_id_meanwhile_keeps_what_it_spent(storage):
    await spent(storage, 3 * DAY, A_RUN, "r")
    before = NOW - DAY
    found = await storage.read(lambda conn: forgetting.ended_windows(conn, before, None, 10))
    assert len(found) == 1
    await ended(storage, "r")
    assert await storage.write(lambda conn: forgetting.forget_windows(conn, found, before)) == 0
    assert await count(storage, "budget_windows") == 1


async def test_an_event_may_be_emitted_again_once_its_key_is_forgotten_and_not_before(storage):
    assert await emitted(storage, "old", 91 * DAY)
    assert await emitted(storage, "young", 89 * DAY)
    assert (await looking(storage).round()).forgotten == 1
    assert await emitted(storage, "old", 0)
    assert not await emitted(storage, "young", 0)


async def test_keys_may_be_kept_for_ever(storage):
    await emitted(storage, "old", 9999 * DAY)
    assert (await looking(storage, keys=None).round()).forgotten == 0
    with pytest.raises(InvalidInput):
        RetentionSettings(forget_keys="soon")


async def test_many_go_page_by_page_in_short_transactions(storage, monkeypatch):
    monkeypatch.setattr("podium.app.bookkeeping._PAGE", 100)
    for number in range(350):
        await emitted(storage, f"k{number}", (100 if number % 7 else 1) * DAY)
    sizes: list[int] = []
    forget_keys = forgetting.forget_keys

    def noted(conn, keys, before):
        sizes.append(len(keys))
        return forget_keys(conn, keys, before)

    monkeypatch.setattr(forgetting, "forget_keys", noted)
    assert (await looking(storage).round()).forgotten == 300
    assert sum(sizes) == 300
    assert max(sizes) <= 100
    assert len(sizes) > 3
    assert await count(storage, "emitted_keys") == 50


async def test_a_round_for_one_workflow_leaves_them_alone(storage):
    await emitted(storage, "old", 91 * DAY)
    await looking(storage, "w").round()
    assert await count(storage, "emitted_keys") == 1
    assert (await looking(storage).round()).forgotten == 1


async def test_the_owner_forgets_as_it_goes(database):
    @workflow
    async def nothing() -> None: ...

    def settings(every: float) -> Settings:
        return Settings(retention=RetentionSettings(every=every, share=1.0, forget_keys="0s"))

    async with Podium(database, workflows=[nothing], settings=settings(0)) as app:
        await app.emit("paid", 1, dedupe="k")
    async with Podium(database, workflows=[nothing], settings=settings(0.02)) as app:
        storage = app.runs._storage

        async def is_forgotten() -> bool:
            return bool(await storage.read(keys) == 0)

        await until(is_forgotten)


def keys(conn):
    return conn.exec_driver_sql("SELECT count(*) FROM emitted_keys").scalar()
