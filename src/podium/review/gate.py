"""`gate`: the decision on an answer, by its confidence and quality: pass, review, escalate or reject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any, Generic, TypeVar, assert_never

from podium.domain.answers import Answer
from podium.domain.durations import Duration
from podium.domain.errors import InvalidInput, Rejected
from podium.domain.quality import Verdict
from podium.domain.reviews import DecisionVerdict, HumanAnswer, ReviewKind
from podium.ports.run import current_run
from podium.review.ask_human import ask_human

T = TypeVar("T")
ESCALATION_PRIORITY = 10


class GateDecision(StrEnum):
    """`pass`: used as it is. `review`: a person checks it. `escalate`: a person, first, and warned. `reject`: refused."""

    PASS = "pass"  # noqa: S105 - a decision, no password
    REVIEW = "review"
    ESCALATE = "escalate"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which confidence (0 to 1) an answer passes, is reviewed, or is escalated; below all, it is rejected."""

    accept: float
    review: float
    escalate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.escalate <= self.review <= self.accept <= 1:
            raise InvalidInput(
                f"gate thresholds must satisfy 0 <= escalate ({self.escalate}) <= review ({self.review}) <= "
                f"accept ({self.accept}) <= 1."
            )


@dataclass(frozen=True, slots=True)
class Checked(Generic[T]):
    """An answer that a gate let through: `value` is the model's, or what the reviewer made of it."""

    value: T
    decision: GateDecision
    reason: str
    answer: Answer[T]
    human: HumanAnswer[T] | None = None


def judge(answer: Answer[Any], thresholds: Thresholds) -> tuple[GateDecision, str]:
    """Return what to do with an answer and why. Suspect values and unknown confidence never pass unseen."""
    confidence = answer.confidence
    if confidence is None:
        return GateDecision.REVIEW, "the model gives no confidence"
    shown = f"confidence {confidence:.2f}"
    if confidence < thresholds.escalate:
        return GateDecision.REJECT, f"{shown} is below {thresholds.escalate}"
    if confidence < thresholds.review:
        return GateDecision.ESCALATE, f"{shown} is below {thresholds.review}"
    if answer.quality.verdict is Verdict.SUSPECT:
        return GateDecision.REVIEW, "suspect: " + "; ".join(answer.quality.reasons)
    if confidence < thresholds.accept:
        return GateDecision.REVIEW, f"{shown} is below {thresholds.accept}"
    return GateDecision.PASS, f"{shown} reaches {thresholds.accept}"


async def gate(  # noqa: PLR0913 - each describes the review in its own way, and all but one are optional
    answer: Answer[T],
    *,
    accept: float,
    review: float = 0.0,
    escalate: float = 0.0,
    queue: str = "default",
    sla: Duration | None = None,
    subject: str | None = None,
    priority: int = 0,
    evidence: Mapping[str, object] | None = None,
) -> Checked[T]:
    """Let an answer pass, or have a person decide, durably.

    Confidence from `accept` passes; from `review` a person approves, edits or rejects; from `escalate` the
    same with raised priority and a warning; below it is rejected. `queue`, `sla`, `priority` and `subject`
    describe the review, `evidence` (JSON values by name) is shown to the reviewer beside the gate's own.

    Returns the value to go on with; one that a person edited is read by the type of the answer's value.
    Raises `Rejected` when the gate or the person refuses, `InvalidInput` for contradictory thresholds,
    `NotInRun` outside a run.
    """
    current_run("gate()", "to judge an answer elsewhere, use podium.review.gate.judge.")
    decision, reason = judge(answer, Thresholds(accept, review, escalate))
    match decision:
        case GateDecision.PASS:
            return Checked(answer.value, decision, reason, answer)
        case GateDecision.REJECT:
            raise Rejected(f"the gate refused the answer of {answer.prompt}: {reason}.")
        case GateDecision.REVIEW:
            kind = ReviewKind.APPROVAL
        case GateDecision.ESCALATE:
            kind, priority = ReviewKind.ESCALATION, priority + ESCALATION_PRIORITY
        case _:
            assert_never(decision)
    human = await ask_human(
        subject or f"check the answer of {answer.prompt.partition('@')[0]}",
        output=_type_of(answer.value),
        proposal=answer.value,
        kind=kind,
        queue=queue,
        sla=sla,
        priority=priority,
        evidence={
            **(evidence or {}),
            "reason": reason,
            "confidence": answer.confidence,
            "quality": answer.quality.verdict.value,
            "quality_reasons": list(answer.quality.reasons),
            "model": answer.model,
            "prompt": answer.prompt,
        },
    )
    if human.verdict is DecisionVerdict.REJECT or human.value is None:
        why = f": {human.comment}" if human.comment else ""
        raise Rejected(f"{human.reviewer} rejected the answer of {answer.prompt}{why}")
    approved = human.verdict is DecisionVerdict.APPROVE
    return Checked(answer.value if approved else human.value, decision, reason, answer, human)


def _type_of(value: Any) -> Any:
    """Return the type by which an edited value is read: the one of the proposal, with what it contains."""
    match value:
        case list() if value:
            return list[_union(value)]  # type: ignore[misc]
        case dict() if value:
            return dict[_union(value), _union(value.values())]  # type: ignore[misc]
        case tuple() if value and type(value) is tuple:
            return tuple[tuple(_type_of(item) for item in value)]  # type: ignore[misc]
        case _:
            return type(value)


def _union(values: Iterable[Any]) -> Any:
    return reduce(or_, (_type_of(value) for value in values))
