"""`ask_human`: hand a question or a proposal to a person and wait, durably, for the decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from podium.domain.durations import Duration, seconds
from podium.domain.errors import InvalidInput
from podium.domain.ids import digest
from podium.domain.operations import AskPerson, Intent, OperationKind
from podium.domain.reviews import DecisionVerdict, HumanAnswer, ReviewDraft, ReviewKind
from podium.domain.values import TypedCodec
from podium.ports.run import current_run

T = TypeVar("T")
MAX_SUBJECT = 300
MAX_PRIORITY = 1_000_000
_EVIDENCE = TypedCodec(Any, "the evidence of a review")


@overload
async def ask_human(
    subject: str,
    *,
    proposal: str | None = None,
    kind: ReviewKind | None = None,
    queue: str = "default",
    sla: Duration | None = None,
    priority: int = 0,
    evidence: Mapping[str, object] | None = None,
) -> HumanAnswer[str]: ...
@overload
async def ask_human(
    subject: str,
    *,
    output: type[T],
    proposal: T | None = None,
    kind: ReviewKind | None = None,
    queue: str = "default",
    sla: Duration | None = None,
    priority: int = 0,
    evidence: Mapping[str, object] | None = None,
) -> HumanAnswer[T]: ...
async def ask_human(
    subject: str,
    *,
    output: type[Any] = str,
    proposal: Any = None,
    kind: ReviewKind | None = None,
    queue: str = "default",
    sla: Duration | None = None,
    priority: int = 0,
    evidence: Mapping[str, object] | None = None,
) -> HumanAnswer[Any]:
    """Open a review and wait for its decision; the run leaves memory meanwhile and survives restarts.

    `subject` is the question in one line. `output` is the type of the value asked for: an edited or given
    value is validated against it. `proposal` is what is put forward; without one the person must give a
    value. `sla` is the time in which a decision is due (seconds, timedelta or text such as `2h`).
    `priority`: higher is shown first. `evidence`: JSON values that help to decide.

    Returns the decision with its verdict, value, reviewer and comment; a rejection is a decision too and
    raises nothing. Raises `NotInRun` outside a run, `NotSerialisable` for a proposal or evidence that
    cannot be stored.
    """
    run = current_run("ask_human()")
    if not subject.strip() or not queue.strip():
        raise InvalidInput("ask_human() needs a subject and a queue that are not empty.")
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidInput(
            f"ask_human(): priority {priority} must be from -{MAX_PRIORITY} to {MAX_PRIORITY}."
        )
    where = f"the proposal for review {subject[:40]!r}"
    value_codec = TypedCodec(output, where)
    proposed = None if proposal is None else value_codec.encode(proposal)
    asks_for_value = (DecisionVerdict.EDIT, DecisionVerdict.REJECT)
    draft = ReviewDraft(
        kind=kind or (ReviewKind.QUESTION if proposed is None else ReviewKind.APPROVAL),
        subject=" ".join(subject.split())[:MAX_SUBJECT],
        queue=queue,
        proposal=proposed,
        schema=value_codec.schema(),
        evidence=_EVIDENCE.encode(dict(evidence or {})),
        allowed=asks_for_value if proposed is None else (DecisionVerdict.APPROVE, *asks_for_value),
        priority=priority,
        due=None if sla is None else seconds(sla),
    )
    mark = digest(draft.subject, draft.queue, proposed or b"")[:16]
    codec = TypedCodec(HumanAnswer[output], "a decision")  # type: ignore[valid-type]
    answer: HumanAnswer[Any] = await run.perform(
        Intent(OperationKind.REVIEW, "review", mark, AskPerson(draft), codec)
    )
    return answer
