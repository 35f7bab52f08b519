"""A task for a person, and what the person decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from podium.domain.states import ReviewState

if TYPE_CHECKING:
    from podium.domain.ids import ReviewId, RunId

T = TypeVar("T")


class ReviewKind(StrEnum):
    """Why a person is asked. `escalation` means that the proposal should not be trusted as it stands."""

    APPROVAL = "approval"
    ESCALATION = "escalation"
    QUESTION = "question"


class DecisionVerdict(StrEnum):
    """What a person may decide."""

    APPROVE = "approve"
    EDIT = "edit"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class ReviewDraft:
    """What a run asks of a person, before it is stored.

    `subject` is the question in one line. `proposal` is UTF-8 JSON of the value put forward (None for an
    open question), `schema` the JSON schema that an edited or given value must satisfy, `evidence` UTF-8
    JSON that helps to decide (confidence, quality, model). `due` and `expires` are seconds from opening.
    `priority`: higher comes first.
    """

    kind: ReviewKind
    subject: str
    queue: str
    proposal: bytes | None
    schema: bytes
    evidence: bytes
    allowed: tuple[DecisionVerdict, ...]
    priority: int = 0
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A stored review. Times are seconds since the epoch; `proposal_digest` binds a decision to what was seen."""

    id: ReviewId
    tenant: str
    run: RunId
    key: str
    draft: ReviewDraft
    proposal_digest: str
    state: ReviewState
    opened_at: float
    due_at: float | None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person decided. `value` is UTF-8 JSON: the approved proposal or the edited value."""

    verdict: DecisionVerdict
    reviewer: str
    value: bytes | None
    comment: str
    decided_at: float
    proposal_digest: str


@dataclass(frozen=True, slots=True)
class HumanAnswer(Generic[T]):
    """A decision as the workflow receives it; `value` is of the type that was asked for, None when rejected."""

    verdict: DecisionVerdict
    reviewer: str
    comment: str
    value: T | None
