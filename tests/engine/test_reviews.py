"""`ask_human`: a run waits for a person, out of memory, for as long as it takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

import pydantic
import pytest

from podium import (
    DecisionVerdict,
    InvalidInput,
    ReviewState,
    RunFailed,
    RunState,
    ask_human,
    gather,
    step,
    workflow,
)
from podium.app.database import open_database
from podium.domain.reviews import ReviewKind
from tests.support.apps import App, app_on, patiently, some, until
from tests.support.processes import run, written

APPROVE, EDIT, REJECT = DecisionVerdict.APPROVE, DecisionVerdict.EDIT, DecisionVerdict.REJECT


class Tone(StrEnum):
    KIND = "kind"
    FIRM = "firm"


class Reply(pydantic.BaseModel):
    text: str
    tone: Tone = Tone.KIND


@workflow
async def checked(text: str) -> str:
    human = await ask_human(
        "Send this?", output=Reply, proposal=Reply(text=text), queue="support", sla="2h", priority=3
    )
    return f"{human.verdict} by {human.reviewer}: {human.value!r} {human.comment}".strip()


async def parked(app: App, *run_ids: str):
    for run_id in run_ids:
        await app.story.state(run_id, RunState.WAITING)
    return await app.reviews.list()


async def test_a_review_says_all_that_was_asked_and_the_run_leaves_memory(database):
    async with app_on(database, checked) as app:
        await app.start(checked, "hello", run_id="r")
        (review,) = await parked(app, "r")
        assert not app.in_memory
        draft = review.draft
        assert (draft.subject, draft.queue, draft.priority, draft.kind) == (
            "Send this?",
            "support",
            3,
            ReviewKind.APPROVAL,
        )
        assert pydantic.TypeAdapter(Reply).validate_json(draft.proposal) == Reply(text="hello")
        assert review.due_at == pytest.approx(review.opened_at + 7200)
        assert set(draft.allowed) == {APPROVE, EDIT, REJECT}
        stored = await app.runs.get("r")
        assert (stored.state, stored.waiting_on) == (RunState.WAITING, f"review {review.id} in queue support")


@pytest.mark.parametrize(
    ("verdict", "value", "result"),
    [
        (APPROVE, None, "approve by ada: Reply(text='hello', tone=<Tone.KIND: 'kind'>) fine"),
        (
            EDIT,
            b'{"text": "hi", "tone": "firm"}',
            "edit by ada: Reply(text='hi', tone=<Tone.FIRM: 'firm'>) fine",
        ),
        (REJECT, None, "reject by ada: None fine"),
    ],
)
async def test_a_decision_is_delivered_with_its_value_in_its_type(database, verdict, value, result):
    async with app_on(database, checked) as app:
        handle = await app.start(checked, "hello", run_id="r")
        (review,) = await parked(app, "r")
        stands, first = await app.reviews.decide(
            review.id, verdict, reviewer="ada", value=value, comment="fine"
        )
        assert first
        assert stands.state is ReviewState.DECIDED
        assert await handle.result() == result


async def test_the_first_decision_stands(database):
    async with app_on(database, checked) as app:
        handle = await app.start(checked, "hello", run_id="r")
        (review,) = await parked(app, "r")
        decisions = await asyncio.gather(
            *[app.reviews.decide(review.id, REJECT, reviewer=f"person {i}") for i in range(10)]
        )
        assert sum(first for _, first in decisions) == 1
        (standing,) = {some(stands.decision).reviewer for stands, _ in decisions}
        assert await handle.result() == f"reject by {standing}: None"
        stands, first = await app.reviews.decide(review.id, APPROVE, reviewer="too late")
        assert (some(stands.decision).reviewer, first) == (standing, False)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b'{"tone": "kind"}', "'text' is a required property"),
        (b'{"text": "x", "tone": "rude"}', "tone: 'rude' is not one of"),
        (b'{"text": 5}', "text: 5 is not of type 'string'"),
        (b"{broken", "not valid JSON"),
        (None, "an edit needs the new value"),
    ],
)
async def test_an_edit_that_does_not_fit_is_refused_and_the_review_stays_open(database, value, why):
    async with app_on(database, checked) as app:
        await app.start(checked, "hello", run_id="r")
        (review,) = await parked(app, "r")
        with pytest.raises(InvalidInput, match=why):
            await app.reviews.decide(review.id, EDIT, reviewer="ada", value=value)
        assert (await app.reviews.get(review.id)).state is ReviewState.OPEN


async def test_a_question_without_a_proposal_cannot_be_approved(database):
    @workflow
    async def asks() -> int:
        return some((await ask_human("How many?", output=int)).value)

    async with app_on(database, asks) as app:
        handle = await app.start(asks, run_id="r")
        (review,) = await parked(app, "r")
        assert review.draft.kind is ReviewKind.QUESTION
        with pytest.raises(InvalidInput, match="does not take approve"):
            await app.reviews.decide(review.id, APPROVE, reviewer="ada")
        await app.reviews.decide(review.id, EDIT, reviewer="ada", value=b"42")
        assert await handle.result() == 42


async def test_models_with_aliases_are_edited_by_the_names_that_are_shown(database):
    class Address(pydantic.BaseModel):
        street: str = pydantic.Field(alias="Strasse")

    @workflow
    async def asks() -> str:
        human = await ask_human("Right?", output=Address, proposal=Address(Strasse="Weg 1"))
        return some(human.value).street

    async with app_on(database, asks) as app:
        approved = await app.start(asks, run_id="approved")
        edited = await app.start(asks, run_id="edited")
        for review in await parked(app, "approved", "edited"):
            assert review.draft.proposal == b'{"street":"Weg 1"}'
            assert b"Strasse" not in review.draft.schema
            if review.run == "approved":
                await app.reviews.decide(review.id, APPROVE, reviewer="ada")
            else:
                await app.reviews.decide(review.id, EDIT, reviewer="ada", value=b'{"street": "Weg 2"}')
        assert (await approved.result(), await edited.result()) == ("Weg 1", "Weg 2")


DECIDES = """
from podium.app.database import open_database

async def main():
    async with open_database(DATABASE) as database:
        for review in await database.reviews.list():
            await database.reviews.decide(review.id, DecisionVerdict.APPROVE, reviewer="elsewhere")

asyncio.run(main())
"""


async def test_a_decision_of_another_process_is_noticed_while_the_run_is_waited_for(tmp_path, database):
    async with app_on(database, checked) as app:
        handle = await app.start(checked, "hello", run_id="r")
        await parked(app, "r")
        decided = await asyncio.to_thread(run, written(tmp_path, DECIDES), database)
        assert decided.returncode == 0, decided.stderr
        async with patiently():
            assert (await handle.result()).startswith("approve by elsewhere")


async def test_a_decision_while_no_process_works_is_taken_up_by_the_next(database):
    async with app_on(database, checked) as app:
        await app.start(checked, "hello", run_id="r")
        (review,) = await parked(app, "r")
    async with open_database(database) as other:
        await other.reviews.decide(review.id, APPROVE, reviewer="meanwhile")
    async with app_on(database, checked) as app:
        assert (await app.finished("r")) == {RunState.COMPLETED: 1}
        assert (await (await app.get("r")).result()).startswith("approve by meanwhile")


async def test_a_decision_that_arrives_as_the_process_stops_is_not_lost(database):
    for i in range(15):
        async with app_on(database, checked) as app:
            await app.start(checked, "hello", run_id=f"r{i}")
            (review,) = await parked(app, f"r{i}")
            await app.reviews.decide(review.id, APPROVE, reviewer="ada")
            app.look()
            # The engine is stopped at another point of taking it in each time.
            for _ in range(i):
                await asyncio.sleep(0)
        async with app_on(database, checked) as app:
            assert (await app.finished(f"r{i}")) == {RunState.COMPLETED: 1}


async def test_going_on_after_a_restart_opens_no_second_review(database):
    @step
    async def first() -> None: ...

    gate = asyncio.Event()

    @step
    async def second() -> None:
        await gate.wait()

    @workflow
    async def busy() -> str:
        await first()
        human, _ = await gather(ask_human("Yes?", proposal="yes"), second())
        return f"{human.value}"

    async with app_on(database, busy) as app:
        await app.start(busy, run_id="r")
        await until(app.reviews.list)
        reviews = await app.reviews.list()
    gate.set()
    async with app_on(database, busy) as app:
        assert await parked(app, "r") == reviews
        await app.reviews.decide(reviews[0].id, APPROVE, reviewer="ada")
        assert await (await app.get("r")).result() == "yes"
        assert len(await app.reviews.list(states=None)) == 1


async def test_several_reviews_at_once_get_each_its_own_decision(database):
    @workflow
    async def panel() -> list[str]:
        answers = await gather(*[ask_human(f"Question {i}", proposal=f"proposal {i}") for i in range(5)])
        return [f"{answer.reviewer} {answer.value}" for answer in answers]

    async with app_on(database, panel) as app:
        handle = await app.start(panel, run_id="r")
        reviews = await parked(app, "r")
        for review in reversed(reviews):
            await app.reviews.decide(review.id, APPROVE, reviewer=f"on {review.draft.subject}")
        assert await handle.result() == [f"on Question {i} proposal {i}" for i in range(5)]


async def test_a_review_that_is_no_longer_waited_for_closes(database):
    @step
    async def carry_on() -> None: ...

    @workflow
    async def impatient() -> str:
        try:
            async with asyncio.timeout(0.3):
                await ask_human("Quick!")
        except TimeoutError:
            await carry_on()
        return "too slow"

    async with app_on(database, impatient) as app:
        assert await app.run(impatient) == "too slow"
        (review,) = await app.reviews.list(states=None)
        assert review.state is ReviewState.CANCELLED


async def test_a_proposal_that_is_no_such_thing_is_refused_with_its_path(database):
    @dataclass
    class Offer:
        price: int

    @workflow
    async def asks() -> None:
        await ask_human("Fair?", output=Offer, proposal={"price": "a lot"})

    async with app_on(database, asks) as app:
        with pytest.raises(
            RunFailed, match=r"the proposal for review 'Fair\?' cannot be stored: .*price does not fit"
        ):
            await app.run(asks)


@pytest.mark.parametrize(("subject", "queue"), [("", "support"), ("What?", " ")])
async def test_a_review_needs_a_subject_and_a_queue(database, subject, queue):
    @workflow
    async def asks() -> None:
        await ask_human(subject, queue=queue)

    async with app_on(database, asks) as app:
        with pytest.raises(RunFailed, match="InvalidInput: ask_human"):
            await app.run(asks)
