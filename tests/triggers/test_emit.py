"""The verb `emit`: once, durably, to triggers or into the inboxes of runs."""

from __future__ import annotations

import pytest

from podium import InvalidDefinition, NotInRun, OnEvent, RunState, UnknownRun, ask_human, emit, step, workflow
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.operations import OperationKind
from tests.support.apps import app_on
from tests.triggers.support import triggered


@step
async def work(number: int) -> int:
    return number


@workflow
async def sell(number: int) -> str:
    await emit("sold", {"number": number})
    await work(number)
    await emit("sold", {"number": number + 1})
    return "sold"


@workflow
async def ship(number: int) -> int:
    return number


@workflow
async def tell(to: list[str], dedupe: str | None = None) -> str:
    try:
        await emit("news", {"n": 1}, to=to, dedupe=dedupe)
    except UnknownRun as error:
        return f"unknown: {error}"
    return "told"


@workflow
async def asks() -> str | None:
    return (await ask_human("What now?", output=str)).value


@workflow
async def relay(number: int) -> None:
    if number:
        await emit("relayed", number - 1)


async def test_a_workflow_emits_to_triggers(database):
    async with triggered(database, OnEvent("sold", ship), workflows=[sell]) as t:
        assert await t.app.run(sell, 4) == "sold"
        await t.app.idle()
        shipped = [run for run in await t.runs() if run.workflow == "ship"]
        assert sorted(run.output or b"" for run in shipped) == [b"4", b"5"]


async def test_it_is_an_operation_of_its_own_on_the_timeline(database):
    async with app_on(database, sell) as app:
        handle = await app.start(sell, 1)
        await handle.result()
        operations = (await handle.timeline()).operations
        assert [(op.kind, op.name) for op in operations] == [
            (OperationKind.EMIT, "sold"), (OperationKind.STEP, "work"), (OperationKind.EMIT, "sold"),
        ]  # fmt: skip


async def test_an_emission_that_is_carried_out_again_after_a_crash_is_emitted_once(database):
    from podium.app.triggers import Emitting, Triggers
    from podium.domain.ids import RunId
    from podium.domain.operations import Execute
    from podium.domain.retries import RetryPolicy
    from podium.flow.emit import emission_of
    from podium.ports.execution import AttemptContext

    async with triggered(database, OnEvent("sold", ship)) as t:
        emitting = Emitting(Triggers(t.app.runs._storage, t.firing.look))
        request = Execute(emission_of("sold", {"number": 1}, None, None), {}, RetryPolicy())
        for attempt in (1, 2, 3):
            context = AttemptContext(
                RunId("r"), "0:sold#1", attempt, "the-key", lambda _: None, lambda *_: None
            )
            await emitting.execute(request, context)
            await t.app.idle()
        assert len(await t.runs()) == 1


async def test_runs_that_start_one_another_by_events_are_all_waited_for(database):
    async with triggered(database, OnEvent("relayed", relay)) as t:
        await t.app.emit("relayed", 20)
        await t.app.idle()
        runs = await t.runs()
        assert len(runs) == 21
        assert {run.state for run in runs} == {RunState.COMPLETED}


async def inbox(app) -> list[Delivery]:
    return list(await app._engine._journal.deliveries(0, 100))


async def test_an_event_for_runs_is_put_into_the_inbox_of_each_once(database):
    async with app_on(database, asks) as app:
        for name in ("a", "b"):
            await app.start(asks, run_id=name)
            await app.story.state(name, RunState.WAITING)
    # A process that does not know their workflow leaves their inboxes alone.
    async with app_on(database, tell) as app:
        assert await app.run(tell, ["a", "b", "a"], dedupe="k") == "told"
        assert await app.run(tell, ["a"], dedupe="k") == "told"
        assert not await app.emit("news", {"n": 1}, to="b", dedupe="k")
        assert await app.emit("news", {"n": 2}, to="b")
        assert [(d.run, d.kind, d.name, d.payload) for d in await inbox(app)] == [
            ("a", DeliveryKind.EVENT, "news", b'{"n":1}'),
            ("b", DeliveryKind.EVENT, "news", b'{"n":1}'),
            ("b", DeliveryKind.EVENT, "news", b'{"n":2}'),
        ]


async def test_an_unknown_run_is_an_error_in_the_workflow_and_nobody_is_told(database):
    async with app_on(database, tell, ship) as app:
        await app.run(ship, 1, run_id="there")
        told = await app.run(tell, ["there", "nowhere"], run_id="teller")
        assert told.startswith("unknown: There is no run 'nowhere'")
        assert await inbox(app) == []
        with pytest.raises(UnknownRun, match="nowhere"):
            await app.emit("news", to="nowhere")


async def test_a_replay_emits_nothing_again(database):
    async with triggered(database, OnEvent("sold", ship), workflows=[sell]) as t:
        await t.app.run(sell, 1, run_id="s")
        await t.app.idle()
        journal = list(await t.app.journal("s"))
    async with triggered(database, OnEvent("sold", ship), workflows=[sell]) as t:
        assert await t.app.run(sell, 1, run_id="s") == "sold"
        assert list(await t.app.journal("s")) == journal
        assert len(await t.runs()) == 3


async def test_outside_a_run_the_verb_says_what_to_do():
    with pytest.raises(NotInRun, match=r"app\.emit"):
        await emit("sold", 1)


async def test_a_name_that_cannot_be_shown_is_refused_in_the_workflow(database):
    @workflow
    async def bad() -> str:
        try:
            await emit("so\x1b[31mld")
        except InvalidDefinition as error:
            return str(error)
        return "sent"

    async with app_on(database, bad) as app:
        assert "printable" in await app.run(bad)
