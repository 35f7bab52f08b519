"""Reviews: opened once, listed by urgency, decided once, whoever asks and however many ask at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from podium.domain.errors import InvalidInput, ReviewClosed, UnknownReview
from podium.domain.ids import ReviewId
from podium.domain.inbox import DeliveryKind
from podium.domain.reviews import DecisionVerdict, Review
from podium.domain.states import DECIDABLE_REVIEW_STATES, REVIEW_TRANSITIONS, ReviewState
from podium.ports.journal import CloseReviews, OpenReview
from podium.storage import reviews
from podium.storage.sqlite.database import SqliteStorage
from tests.storage.support import (
    a_decision,
    a_draft,
    a_review,
    a_run,
    child,
    committed,
    line_of,
    opened,
    tell,
    with_review,
)

S = ReviewState
UNDECIDED = {S.OPEN, S.CLAIMED, S.INFO_REQUESTED}


async def got(storage: SqliteStorage, id: str) -> Review:
    """The stored review with this id."""
    found = await storage.read(partial(reviews.get_review, review=ReviewId(id)))
    assert found is not None
    return found


def decider_of(review: Review) -> str:
    assert review.decision is not None
    return review.decision.reviewer


async def decided(storage: SqliteStorage, review: Review, **fields: Any) -> tuple[Review, bool]:
    decision = a_decision(review, **fields)
    return await storage.write(partial(reviews.decide, review=review.id, decision=decision))


async def put(storage: SqliteStorage, *made: dict[str, Any]) -> None:
    run = await storage.create(a_run("run"))
    await committed(storage, *(OpenReview(a_review(run.id, **fields)) for fields in made))


async def test_a_review_is_kept_as_it_was_opened(storage):
    draft = a_draft(subject="Rückerstattung: 40 €?", priority=3, due=60.0, allowed=(DecisionVerdict.REJECT,))
    plain = await with_review(storage)
    full = await with_review(storage, draft=draft, due_at=90.5, tenant="acme")
    question = await with_review(storage, draft=a_draft(proposal=None))
    assert [await got(storage, review.id) for review in (plain, full, question)] == [plain, full, question]
    assert await storage.read(partial(reviews.get_review, review=ReviewId("nothing"))) is None


async def test_opening_again_changes_nothing(storage):
    review = await with_review(storage)
    await decided(storage, review)
    await committed(storage, OpenReview(review))
    assert (await got(storage, review.id)).state is S.DECIDED


async def test_two_reviews_whose_short_ids_meet_are_two_reviews(storage):
    first = await with_review(storage, id=ReviewId("1a2b3c4d"))
    second = await with_review(storage, id=ReviewId("1a2b3c4d"))
    ids = {
        review.id: review.run
        for review in await storage.read(partial(reviews.list_reviews, tenant="default"))
    }
    assert ids.pop("1a2b3c4d") == first.run
    ((longer, run),) = ids.items()
    assert run == second.run
    assert len(longer) == 32
    await committed(storage, OpenReview(second))
    assert len(await storage.read(partial(reviews.list_reviews, tenant="default"))) == 2


async def test_the_most_urgent_review_is_listed_first(storage):
    await put(
        storage,
        {"id": "undated", "key": "1", "opened_at": 1.0},
        {"id": "younger", "key": "2", "opened_at": 3.0, "due_at": 50.0},
        {"id": "older", "key": "3", "opened_at": 2.0, "due_at": 50.0},
        {"id": "sooner", "key": "4", "opened_at": 9.0, "due_at": 40.0},
        {"id": "first", "key": "5", "opened_at": 9.0, "draft": a_draft(priority=1)},
        {"id": "last", "key": "6", "opened_at": 0.0, "due_at": 1.0, "draft": a_draft(priority=-1)},
    )
    for filters in (
        {},
        {"queue": "support"},
        {"states": {S.OPEN}},
        {"states": UNDECIDED, "queue": "support"},
    ):
        found = await storage.read(partial(reviews.list_reviews, tenant="default", **filters))
        assert [review.id for review in found] == ["first", "sooner", "older", "younger", "undated", "last"]
    found = await storage.read(partial(reviews.list_reviews, tenant="default", limit=2))
    assert [review.id for review in found] == ["first", "sooner"]


async def test_reviews_are_filtered_by_queue_state_and_tenant(storage):
    await put(
        storage,
        {"id": "1", "key": "1"},
        {"id": "2", "key": "2", "draft": a_draft(queue="billing")},
        {"id": "3", "key": "3", "state": S.EXPIRED},
        {"id": "4", "key": "4", "tenant": "acme"},
    )

    async def listed(**filters) -> list[str]:
        found = await storage.read(partial(reviews.list_reviews, **({"tenant": "default"} | filters)))
        return [review.id for review in found]

    assert await listed() == ["1", "2", "3"]
    assert await listed(queue="billing") == ["2"]
    assert await listed(states={S.EXPIRED}) == ["3"]
    assert await listed(states=DECIDABLE_REVIEW_STATES, queue="support") == ["1"]
    assert await listed(tenant="acme") == ["4"]


async def test_a_review_is_found_by_the_beginning_of_its_id(storage):
    await put(
        storage, {"id": "1a2b3c4d", "key": "1"}, {"id": "1a2fffff", "key": "2"}, {"id": "1a2", "key": "3"}
    )
    find = partial(reviews.find_review, tenant="default")
    assert (await storage.read(partial(find, prefix="1a2b"))).id == "1a2b3c4d"
    assert (await storage.read(partial(find, prefix="1a2b3c4d"))).id == "1a2b3c4d"
    assert (await storage.read(partial(find, prefix="1a2"))).id == "1a2"
    with pytest.raises(InvalidInput, match=r"Several reviews begin with '1a' \(1a2, 1a2b3c4d, 1a2fffff"):
        await storage.read(partial(find, prefix="1a"))
    for nothing in ("2", "", "%", "1a2%", "_a2b3c4d", "1A2B", "\udce9", "\0"):
        with pytest.raises(UnknownReview, match="There is no review"):
            await storage.read(partial(find, prefix=nothing))
    with pytest.raises(UnknownReview):
        await storage.read(partial(reviews.find_review, prefix="1a2b3c4d", tenant="acme"))


async def test_a_decision_is_recorded_and_delivered_to_the_run(storage):
    review = await with_review(storage)
    decision = a_decision(review, DecisionVerdict.EDIT, value=b'{"text":"better"}', comment="shorter")
    after, stands = await storage.write(partial(reviews.decide, review=review.id, decision=decision))
    assert stands
    assert (after.state, after.decision) == (S.DECIDED, decision)
    assert await got(storage, review.id) == after
    (delivery,) = await storage.deliveries(0, 10)
    assert (delivery.run, delivery.kind, delivery.key) == (review.run, DeliveryKind.DECISION, review.key)
    assert (delivery.failed, delivery.at) == (False, decision.decided_at)
    assert json.loads(delivery.payload) == {
        "verdict": "edit",
        "reviewer": "ada",
        "comment": "shorter",
        "value": {"text": "better"},
    }


async def test_a_decision_without_a_value_delivers_null(storage):
    review = await with_review(storage)
    await decided(storage, review, verdict=DecisionVerdict.REJECT, value=None, comment="broken \udce9 text")
    (delivery,) = await storage.deliveries(0, 10)
    assert json.loads(delivery.payload)["value"] is None
    assert json.loads(delivery.payload)["comment"] == "broken ? text"


async def test_a_second_decision_returns_the_first_and_changes_nothing(storage):
    review = await with_review(storage)
    first, _ = await decided(storage, review, reviewer="ada")
    second, stands = await decided(storage, review, reviewer="grace", verdict=DecisionVerdict.REJECT)
    assert not stands
    assert second == first
    assert len(await storage.deliveries(0, 10)) == 1


@pytest.mark.parametrize("state", ReviewState)
async def test_a_review_is_decided_as_the_table_of_states_says(storage, state: ReviewState):
    review = await with_review(storage, state=state)
    if S.DECIDED in REVIEW_TRANSITIONS[state]:
        _, stands = await decided(storage, review)
        assert stands
        return
    with pytest.raises(ReviewClosed, match=f"Review {review.id} is {state} and takes no decision"):
        await decided(storage, review)
    assert await got(storage, review.id) == review
    assert list(await storage.deliveries(0, 10)) == []


async def test_a_decision_on_another_proposal_is_refused(storage):
    review = await with_review(storage)
    with pytest.raises(InvalidInput, match="decided on another proposal"):
        await decided(storage, review, proposal_digest="of what was there before")
    assert (await got(storage, review.id)).state is S.OPEN


async def test_a_verdict_that_is_not_allowed_is_refused(storage):
    review = await with_review(
        storage, draft=a_draft(allowed=(DecisionVerdict.APPROVE, DecisionVerdict.REJECT))
    )
    with pytest.raises(InvalidInput, match="does not take edit: decide one of approve, reject"):
        await decided(storage, review, verdict=DecisionVerdict.EDIT)


async def test_an_unknown_review_cannot_be_decided(storage):
    with pytest.raises(UnknownReview, match="There is no review"):
        await decided(storage, a_review("nobody"))


async def test_of_many_decisions_at_once_one_stands(storage, path: Path):
    review = await with_review(storage)
    others = [await opened(path, own=False) for _ in range(4)]
    outcomes = await asyncio.gather(
        *(
            decided(others[number % 4] if number % 5 else storage, review, reviewer=f"reviewer {number}")
            for number in range(40)
        )
    )
    for other in others:
        await other.close()
    winners = [decider_of(after) for after, stands in outcomes if stands]
    assert len(winners) == 1
    assert {decider_of(after) for after, _ in outcomes} == set(winners)
    assert len(await storage.deliveries(0, 100)) == 1


async def test_of_several_processes_that_decide_at_once_one_wins(storage, path: Path):
    review = await with_review(storage)
    with contextlib.ExitStack() as stack:
        deciders = [
            stack.enter_context(child("decider", path, review.id, f"reviewer-{number}"))
            for number in range(3)
        ]
        for decider in deciders:
            assert line_of(decider) == "ready"
        for decider in deciders:
            tell(decider, "go")
        outcomes = [await asyncio.to_thread(line_of, decider) for decider in deciders]
    stands, who = zip(*(outcome.split() for outcome in outcomes), strict=True)
    assert sorted(stands) == ["False", "False", "True"]
    assert len(set(who)) == 1
    assert len(await storage.deliveries(0, 100)) == 1


async def test_the_end_of_a_run_cancels_what_is_undecided(storage):
    run, other = await storage.create(a_run("run")), await storage.create(a_run("other"))
    made = [a_review(run.id, state.value, state=state) for state in ReviewState]
    untouched = a_review(other.id)
    await committed(storage, *map(OpenReview, [*made, untouched]))
    await committed(storage, CloseReviews(run.id))
    for review in made:
        expected = S.CANCELLED if review.state in UNDECIDED else review.state
        assert (await got(storage, review.id)).state is expected
    assert (await got(storage, untouched.id)).state is S.OPEN


async def test_one_review_of_a_run_can_be_cancelled(storage):
    run = await storage.create(a_run("run"))
    made = [a_review(run.id, key) for key in ("1", "2")]
    await committed(storage, *map(OpenReview, made), CloseReviews(run.id, "2"))
    assert [(await got(storage, review.id)).state for review in made] == [S.OPEN, S.CANCELLED]
