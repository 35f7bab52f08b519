"""`gate`: what becomes of an answer, by its confidence and its quality."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from podium import (
    Answer,
    DecisionVerdict,
    GateDecision,
    Money,
    Quality,
    RunFailed,
    RunState,
    Usage,
    Verdict,
    gate,
    workflow,
)
from podium.domain.reviews import ReviewKind
from podium.review.gate import ESCALATION_PRIORITY, Thresholds, judge
from tests.support.apps import app_on

APPROVE, EDIT, REJECT = DecisionVerdict.APPROVE, DecisionVerdict.EDIT, DecisionVerdict.REJECT
LIMITS = Thresholds(accept=0.8, review=0.5, escalate=0.2)
SUSPECT = Quality().worsened(Verdict.SUSPECT, "it contradicts itself")
DEGRADED = Quality().worsened(Verdict.DEGRADED, "repaired")


def an_answer(value="hello", confidence: float | None = 0.9, quality: Quality | None = None) -> Answer[Any]:
    return Answer(value, confidence, quality or Quality(), "scripted:m", Money(), Usage(), "reply@12345678")


@pytest.mark.parametrize(
    ("confidence", "quality", "decision"),
    [
        (1.0, Quality(), GateDecision.PASS),
        (0.8, Quality(), GateDecision.PASS),
        (0.8, DEGRADED, GateDecision.PASS),
        (0.79, Quality(), GateDecision.REVIEW),
        (0.5, Quality(), GateDecision.REVIEW),
        (0.49, Quality(), GateDecision.ESCALATE),
        (0.2, Quality(), GateDecision.ESCALATE),
        (0.19, Quality(), GateDecision.REJECT),
        (None, Quality(), GateDecision.REVIEW),
        (1.0, SUSPECT, GateDecision.REVIEW),
        (0.3, SUSPECT, GateDecision.ESCALATE),
        (None, SUSPECT, GateDecision.REVIEW),
    ],
)
def test_the_decision_follows_from_confidence_and_quality(confidence, quality, decision):
    decided, reason = judge(an_answer(confidence=confidence, quality=quality), LIMITS)
    assert decided is decision
    assert reason


@pytest.mark.parametrize("limits", [(0.5, 0.8, 0.0), (1.1, 0.5, 0.0), (0.8, 0.5, -0.1), (0.8, 0.2, 0.3)])
async def test_thresholds_that_contradict_each_other_are_refused(database, limits):
    @workflow
    async def gated() -> None:
        await gate(an_answer(), accept=limits[0], review=limits[1], escalate=limits[2])

    async with app_on(database, gated) as app:
        with pytest.raises(RunFailed, match="InvalidInput: gate thresholds must satisfy"):
            await app.run(gated)


def gated_workflow(answer: Answer[Any]):
    @workflow
    async def gated() -> str:
        checked = await gate(answer, accept=0.8, review=0.5, escalate=0.2, queue="support", priority=1)
        return f"{checked.decision}: {checked.value!r}"

    return gated


async def test_a_confident_answer_passes_without_a_review(database):
    gated = gated_workflow(an_answer(confidence=0.9))
    async with app_on(database, gated) as app:
        assert await app.run(gated) == "pass: 'hello'"
        assert not await app.reviews.list(states=None)


@pytest.mark.parametrize(
    ("confidence", "kind", "priority"),
    [
        (0.6, ReviewKind.APPROVAL, 1),
        (0.3, ReviewKind.ESCALATION, 1 + ESCALATION_PRIORITY),
        (None, ReviewKind.APPROVAL, 1),
    ],
)
async def test_a_doubtful_answer_is_put_before_a_person_with_the_reasons(
    database, confidence, kind, priority
):
    gated = gated_workflow(an_answer(confidence=confidence))
    async with app_on(database, gated) as app:
        handle = await app.start(gated, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list(queue="support")
        draft = review.draft
        assert (draft.kind, draft.priority, draft.proposal) == (kind, priority, b'"hello"')
        assert b'"model":"scripted:m"' in draft.evidence
        assert b'"reason":"' in draft.evidence
        await app.reviews.decide(review.id, APPROVE, reviewer="ada")
        assert (await handle.result()).endswith(": 'hello'")


async def test_an_answer_below_all_thresholds_is_rejected(database):
    gated = gated_workflow(an_answer(confidence=0.1))
    async with app_on(database, gated) as app:
        with pytest.raises(
            RunFailed, match=r"Rejected: the gate refused the answer of reply@12345678: confidence 0\.10"
        ):
            await app.run(gated)


async def test_a_suspect_answer_never_passes_unseen(database):
    gated = gated_workflow(an_answer(confidence=1.0, quality=SUSPECT))
    async with app_on(database, gated) as app:
        handle = await app.start(gated, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
        assert b"it contradicts itself" in review.draft.evidence
        await app.reviews.decide(review.id, EDIT, reviewer="ada", value=b'"corrected"')
        assert await handle.result() == "review: 'corrected'"


async def test_what_a_person_rejects_is_rejected(database):
    gated = gated_workflow(an_answer(confidence=0.6))
    async with app_on(database, gated) as app:
        handle = await app.start(gated, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, REJECT, reviewer="ada", comment="no tone")
        with pytest.raises(
            RunFailed, match="Rejected: ada rejected the answer of reply@12345678: no tone"
        ) as caught:
            await handle.result()
        assert caught.value.error.type == "Rejected"


class Line(pydantic.BaseModel):
    text: str


@pytest.mark.parametrize(
    "value",
    [Line(text="a"), [Line(text="a")], {"x": Line(text="a")}, (1, "a"), False, 0, ["a", None]],
    ids=lambda value: type(value).__name__,
)
async def test_an_approved_value_is_the_one_that_was_approved_whatever_its_type(database, value):
    got = []

    @workflow
    async def gated() -> None:
        got.append((await gate(an_answer(value, 0.6), accept=0.8)).value)

    async with app_on(database, gated) as app:
        handle = await app.start(gated, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, APPROVE, reviewer="ada")
        await handle.result()
        assert got == [value]
        assert type(got[0]) is type(value)


@pytest.mark.parametrize(
    ("value", "edit", "edited"),
    [
        (Line(text="a"), b'{"text": "b"}', Line(text="b")),
        ([Line(text="a")], b'[{"text": "b"}, {"text": "c"}]', [Line(text="b"), Line(text="c")]),
        ({"x": Line(text="a")}, b'{"y": {"text": "b"}}', {"y": Line(text="b")}),
        ((1, Line(text="a")), b'[2, {"text": "b"}]', (2, Line(text="b"))),
        ([], b'["anything"]', ["anything"]),
        (Verdict.CLEAN, b'"suspect"', Verdict.SUSPECT),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_edited_value_has_the_type_of_what_was_proposed(database, value, edit, edited):
    got = []

    @workflow
    async def gated() -> None:
        got.append((await gate(an_answer(value, 0.6), accept=0.8)).value)

    async with app_on(database, gated) as app:
        handle = await app.start(gated, run_id="r")
        await app.story.state("r", RunState.WAITING)
        (review,) = await app.reviews.list()
        await app.reviews.decide(review.id, EDIT, reviewer="ada", value=edit)
        await handle.result()
        assert got == [edited]
        assert type(got[0]) is type(edited)
