"""`set_attributes`: a run says what it is found by, once it is on disk and once only, whatever happens meanwhile."""

from __future__ import annotations

import pytest

from podium import (
    DecisionVerdict,
    InvalidInput,
    NotInRun,
    RunFailed,
    RunState,
    ask_human,
    gather,
    set_attributes,
    step,
    workflow,
)
from podium.domain.attributes import MAX_ATTRIBUTES
from podium.domain.ids import RunId
from tests.support.apps import App, app_on, outcomes, until
from tests.support.processes import run as run_program
from tests.support.processes import written


@workflow
async def triage(customer: int) -> str:
    await set_attributes(customer=customer, stage="triage", vip=customer > 40)
    await ask_human("Go on?", proposal="yes")
    await set_attributes(stage="answer", vip=None)
    return "done"


async def ids(app: App, filter: str) -> list[str]:
    return [run.id for run in await app.list(filter)]


async def test_a_run_is_found_by_what_it_says_of_itself(database):
    async with app_on(database, triage) as app:
        for customer in (41, 42):
            await app.start(triage, customer, run_id=f"r{customer}")
        await app.idle()
        assert await ids(app, "attr.customer=42") == ["r42"]
        assert await ids(app, "attr.stage=triage attr.vip=true") == ["r42", "r41"]
        assert await ids(app, "attr.customer>41 state:waiting") == ["r42"]
        for review in await app.reviews.list():
            await app.reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="ada")
        app.look()
        await until(lambda: _all_answered(app))
        assert await ids(app, "attr.stage=triage") == []
        assert await ids(app, "attr.vip:*") == []
        timeline = await app.timeline("r42")
        assert timeline.attributes == {"customer": 42, "stage": "answer"}
        assert outcomes(await app.journal("r42")) == [
            "0:set_attributes#1=done",
            "0:review#1=done",
            "0:set_attributes#2=done",
        ]


async def _all_answered(app: App) -> bool:
    return len(await app.list("attr.stage=answer state:completed")) == 2


async def test_a_replayed_run_does_not_set_them_again(database):
    @workflow
    async def labelled() -> None:
        await set_attributes(stage="triage")
        await ask_human("Go on?", proposal="yes")

    async with app_on(database, labelled) as app:
        await app.start(labelled, run_id="r")
        await app.idle()
        await app.runs.set_attributes("r", {"stage": "relabelled"})
    async with app_on(database, labelled) as app:
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="ada")
        app.look()
        await app.story.state("r", RunState.COMPLETED)
        assert await ids(app, "attr.stage=relabelled") == ["r"]


async def test_a_crash_between_the_attributes_and_the_journal_does_no_harm(database, tmp_path):
    program = written(
        tmp_path,
        """
        from podium.app.attributes import AttributeExecutor

        execute = AttributeExecutor.execute

        async def execute_and_die(self, request, context):
            await execute(self, request, context)
            note(f"set {dict(request.arguments)}")
            if len(Path(sys.argv[1]).with_name("world.txt").read_text().splitlines()) == 1:
                die()

        AttributeExecutor.execute = execute_and_die

        @workflow
        async def labelled() -> None:
            await set_attributes(stage="triage", customer=42)

        async def main():
            async with app_on(DATABASE, labelled) as app:
                await (await app.start(labelled, run_id="r")).result()
                print(await app.runs.attributes(["r"]))

        asyncio.run(main())
        """,
    )
    assert run_program(program, database).returncode < 0
    ended = run_program(program, database)
    assert ended.stdout == "{'r': {'customer': 42, 'stage': 'triage'}}\n", ended.stderr


async def test_attributes_may_be_set_side_by_side(database):
    @workflow
    async def many() -> None:
        await gather(*(set_attributes(**{f"a{number}": number}) for number in range(20)))

    async with app_on(database, many) as app:
        await (await app.start(many, run_id="r")).result()
        assert await app.runs.attributes([RunId("r")]) == {
            "r": {f"a{number}": number for number in range(20)}
        }


async def test_attributes_that_cannot_be_stored_fail_where_they_are_set(database):
    @workflow
    async def careless(name: str, count: int) -> str:
        try:
            await set_attributes(**{name: "x" * count})
        except InvalidInput as error:
            return str(error)
        return "set"

    async with app_on(database, careless) as app:
        assert "a name begins with a letter" in await app.run(careless, "no name", 1)
        assert "501 characters" in await app.run(careless, "name", 501)
        assert await app.run(careless, "name", 500) == "set"


async def test_too_many_attributes_are_an_error_that_the_workflow_may_handle(database):
    @workflow
    async def greedy() -> str:
        await set_attributes(**{f"a{number}": number for number in range(MAX_ATTRIBUTES)})
        try:
            await set_attributes(b=1)
        except Exception as error:
            return str(error)
        return "set"

    async with app_on(database, greedy) as app:
        assert "a run may have 64 attributes, not 65" in await app.run(greedy)
        (run,) = await app.list("attr.a63=63 not attr.b:*")
        assert run.workflow == "greedy"


async def test_outside_a_run_attributes_are_refused(database):
    with pytest.raises(NotInRun, match=r"app\.start\(\.\.\., attributes=\{\.\.\.\}\)"):
        await set_attributes(stage="triage")

    @step
    async def labels() -> None:
        await set_attributes(stage="triage")

    @workflow
    async def wrong() -> None:
        await labels()

    async with app_on(database, wrong) as app:
        with pytest.raises(RunFailed, match="outside a run"):
            await app.run(wrong)


async def test_a_fork_is_found_by_what_the_run_it_shares_its_beginning_with_is_found_by(database):
    @step
    async def answer() -> str:
        return "answer"

    @workflow
    async def labelled(customer: int) -> str:
        await set_attributes(customer=customer, stage="triage")
        return await answer()

    async with app_on(database, labelled) as app:
        handle = await app.start(labelled, 42, run_id="r")
        await handle.result()
        fork = await handle.fork("0:answer#1", run_id="f")
        assert await fork.result() == "answer"
        assert await ids(app, "attr.customer=42 attr.stage=triage") == ["f", "r"]
        assert (await app.timeline("f")).attributes == {"customer": 42, "stage": "triage"}
