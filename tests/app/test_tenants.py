"""Tenants share a database and nothing in it: runs, reviews, events, budgets, limits and kept answers are each one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from podium import (
    Budget,
    DecisionVerdict,
    GatewaySettings,
    InvalidInput,
    Limits,
    Podium,
    RunFailed,
    RunState,
    Scope,
    Settings,
    UnknownReview,
    UnknownRun,
    ask_human,
    emit,
    prompt,
    wait_for_event,
    workflow,
)
from podium.app.check import checked_runs
from podium.app.database import open_database
from podium.domain.keys import KeyLimits
from podium.providers import Script
from tests.support.apps import app_on

kept = prompt("kept", "Say {word}", models=["scripted:m"], cache="1h", max_tokens=10)
fresh = prompt("fresh", "Say {word}", models=["scripted:m"], max_tokens=10)


@workflow
async def asks(word: str) -> str:
    return (await kept(word=word)).value


@workflow
async def pays(word: str) -> str:
    return (await fresh(word=word)).value


@workflow
async def shout(text: str) -> str:
    return text.upper()


@workflow
async def parent(text: str) -> str:
    return await shout(text)


@workflow
async def waits(_: str) -> str:
    return await wait_for_event("go", str)


@workflow
async def reviewed(text: str) -> str:
    return (await ask_human("Well?", proposal=text)).value or "rejected"


@workflow
async def tells(run: str) -> None:
    await emit("go", "on", to=run)


@workflow
async def calls_out(_: str) -> None:
    await emit("go", "on")


async def ids(app: Podium, tenant: str) -> list[str]:
    return sorted(run.id for run in await app.for_tenant(tenant).runs.list())


async def test_a_run_and_its_children_are_had_by_their_tenant_alone(database):
    async with app_on(database, parent, shout) as app:
        handle = await app.start(parent, "hello", run_id="p", tenant="acme", attributes={"customer": 42})
        assert await handle.result() == "HELLO"
        assert await handle.status() is RunState.COMPLETED
        assert (await handle.timeline()).run.tenant == "acme"
        found = await app.for_tenant("acme").runs.list()
        assert {(run.workflow, run.tenant) for run in found} == {("parent", "acme"), ("shout", "acme")}
        assert len(await app.for_tenant("acme").runs.list("attr.customer=42")) == 1
        assert (await app.get("p", tenant="acme")).id == "p"
        for other in (app.runs, app.for_tenant("emca").runs):
            assert await other.list() == []
            with pytest.raises(UnknownRun):
                await other.get("p")
            with pytest.raises(UnknownRun):
                await other.cancel("p")
        with pytest.raises(UnknownRun):
            await app.get("p")


async def test_a_run_id_is_one_tenants_and_nobody_elses(database):
    async with app_on(database, shout) as app:
        assert await app.run(shout, "mine", run_id="x", tenant="acme") == "MINE"
        # The same id again is the same run, for its tenant.
        assert await app.run(shout, "mine", run_id="x", tenant="acme") == "MINE"
        for tenant in ("default", "globex"):
            with pytest.raises(InvalidInput, match=r"The run id 'x' is not available\. Choose another"):
                await app.start(shout, "theirs", run_id="x", tenant=tenant)
        assert await ids(app, "acme") == ["x"]
        assert await ids(app, "globex") == []


@pytest.mark.parametrize("tenant", ["", " ", " acme", "a\nb", "x" * 101])
async def test_what_cannot_name_a_tenant_is_refused(database, tenant):
    async with app_on(database, shout) as app:
        with pytest.raises(InvalidInput, match="cannot name a tenant"):
            await app.start(shout, "x", tenant=tenant)
        with pytest.raises(InvalidInput, match="cannot name a tenant"):
            app.for_tenant(tenant)
        assert await app.runs.list() == []


async def test_a_review_is_seen_and_decided_by_its_tenant_alone(database):
    async with app_on(database, reviewed) as app:
        handle = await app.start(reviewed, "draft", tenant="acme")
        await app.idle()
        (review,) = await app.for_tenant("acme").reviews.list()
        assert await app.reviews.list() == []
        with pytest.raises(UnknownReview):
            await app.for_tenant("globex").reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="eve")
        await app.for_tenant("acme").reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="ada")
        app.look()
        assert await handle.result(timeout=20) == "draft"


async def test_events_reach_runs_of_the_same_tenant_alone(database):
    async with app_on(database, waits, tells, calls_out) as app:
        handle = await app.start(waits, "", run_id="w", tenant="acme")
        await app.idle()
        for tenant in ("default", "globex"):
            with pytest.raises(RunFailed, match="UnknownRun"):
                await app.run(tells, "w", tenant=tenant)
        with pytest.raises(UnknownRun):
            await app.emit("go", "on", to="w")
        with pytest.raises(RunFailed, match="no triggers to go to"):
            await app.run(calls_out, "", tenant="acme")
        await app.run(tells, "w", tenant="acme")
        assert await handle.result(timeout=20) == "on"


def app_asking(database: Path, replies: list[Any], **settings: Any) -> Podium:
    gateway = GatewaySettings(unpriced="allow", retries=0, **settings)
    return Podium(
        database,
        workflows=[asks, pays],
        settings=Settings(gateway=gateway),
        scripts={"m": Script(replies)},
    )


async def test_an_answer_is_given_again_to_the_same_tenant_alone(database):
    async with app_asking(database, ["for acme", "for globex"]) as app:
        assert [await app.run(asks, "hi", tenant="acme") for _ in range(2)] == ["for acme"] * 2
        assert [await app.run(asks, "hi", tenant="globex") for _ in range(2)] == ["for globex"] * 2


async def test_what_one_tenant_has_spent_another_can_spend_still(database):
    budgets = [Budget("1 request/day", scope=Scope.TENANT), Budget("2 requests/day", of="acme")]
    async with app_asking(database, ["yes"] * 9, budgets=budgets) as app:
        for tenant, allowed in (("globex", 1), ("default", 1), ("acme", 2)):
            for _ in range(allowed):
                assert await app.run(pays, "hi", tenant=tenant) == "yes"
            with pytest.raises(RunFailed, match=f"tenant '{tenant}'"):
                await app.run(pays, "hi", tenant=tenant)
        used = {use.key.tenant: use.spent + use.held for use in await app.budgets.list()}
        assert used == {"globex": 1, "default": 1, "acme": 2}


async def test_a_tenants_limit_holds_up_nobody_else(database):
    limits = {"acme": Limits(requests=1)}
    async with app_asking(database, ["yes"] * 9, tenant_limits=limits, timeout=2) as app:
        assert [await app.run(pays, "hi", tenant="globex") for _ in range(4)] == ["yes"] * 4
        assert await app.run(pays, "hi", tenant="acme") == "yes"
        second = await app.start(pays, "hi", tenant="acme")
        with pytest.raises(TimeoutError):
            await second.result(timeout=0.3)
        assert await app.run(pays, "hi", tenant="globex") == "yes"


async def test_code_is_checked_against_the_runs_of_all_tenants(database):
    async with app_on(database, waits) as app:
        for tenant in ("default", "acme"):
            await app.start(waits, "", run_id=tenant, tenant=tenant)
        await app.idle()
    assert {checked.run async for checked in checked_runs(database, [waits])} == {"default", "acme"}
    assert {checked.run async for checked in checked_runs(database, [waits], tenant="acme")} == {"acme"}


async def test_keys_are_made_for_a_tenant(database):
    async with app_on(database, shout) as app:
        key, _ = await app.for_tenant("acme").keys.create("site", KeyLimits())
        assert key.tenant == "acme"
    async with open_database(database, "acme") as opened:
        assert [each.name for each in await opened.keys.list()] == ["site"]
    async with open_database(database) as opened:
        assert await opened.keys.list() == []


@pytest.mark.parametrize("name", [None, 5, "", " acme", "a\nb"])
async def test_what_cannot_name_a_tenant_is_refused_in_words(database, name: Any):
    async with Podium(database, workflows=[parent]) as app:
        with pytest.raises(InvalidInput, match="cannot name a tenant"):
            app.for_tenant(name)
        with pytest.raises(InvalidInput, match="cannot name a tenant"):
            await app.start(parent, "hello", tenant=name)
        with pytest.raises(InvalidInput, match="cannot be a run id"):
            await app.start(parent, "hello", run_id=cast("Any", 5))
