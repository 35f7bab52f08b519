"""What a run brings about beside itself: a review, a child run, word to its parent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from podium.domain.errors import RunCancelled
from podium.domain.happenings import RunMoved
from podium.domain.ids import child_run_id, digest, repeated_key, review_id
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.reviews import Review
from podium.domain.runs import Parent, Placement, Run
from podium.domain.states import ReviewState
from podium.flow.failures import decode_error, encode_error
from podium.ports.journal import Change, CloseReviews, CreateRun, Deliver, TakeDelivery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from podium.domain.errors import ErrorRecord
    from podium.domain.journal import Entry
    from podium.domain.operations import AskPerson, StartChild
    from podium.flow.workflows import Workflow


def review_for(run: Run, key: str, request: AskPerson, at: float, times: int) -> Review:
    """Return the review that `run` opens at journal key `key`; `at` is seconds since the epoch.

    `times` counts the reviews at that key which no longer count.
    """
    draft = request.draft
    return Review(
        id=review_id(run.id, repeated_key(key, times)),
        tenant=run.tenant,
        run=run.id,
        key=repeated_key(key, times),
        draft=draft,
        proposal_digest=digest(draft.proposal or b"", draft.schema),
        state=ReviewState.OPEN,
        opened_at=at,
        due_at=None if draft.due is None else at + draft.due,
    )


def child_of(
    run: Run, key: str, workflow: Workflow[Any, Any], request: StartChild, at: float, times: int
) -> Run:
    """Return the child run that `run` starts at journal key `key`; `at` is seconds since the epoch.

    `times` counts the children at that key which no longer count.
    """
    return Run(
        id=child_run_id(run.id, repeated_key(key, times)),
        workflow=workflow.name,
        input=request.input,
        seed=new_seed(),
        created_at=at,
        tenant=run.tenant,
        parent=Parent(run.id, key),
        source=run.source,
        version=workflow.version,
        placement=_placed(run, workflow, at),
    )


def _placed(run: Run, workflow: Workflow[Any, Any], at: float) -> Placement:
    # In its queue a child is as urgent as its parent.
    return Placement() if workflow.queue is None else Placement(workflow.queue, run.placement.priority, at)


def cancelled_child(child: Run) -> tuple[Change, ...]:
    """Return what tells a child run that its parent no longer waits for it.

    Creates it first, unless it is there: after a crash nobody can tell whether it was.
    """
    cancel = Delivery(child.id, DeliveryKind.CANCEL, "", b"null", child.created_at)
    return CreateRun(child), Deliver(cancel)


def start_of_child(
    run: Run,
    key: str,
    workflow: Workflow[Any, Any],
    request: StartChild,
    at: float,
    void: Sequence[Entry],
) -> tuple[Run, tuple[Change, ...]]:
    """Return the child run that `run` starts at journal key `key`, and what starts it.

    `void` are its earlier ends that no longer count, because `run` was retried: a child that failed is retried
    too; one that was cancelled has ended for good, and another takes its place.
    """
    cancelled = [decode_error(entry.payload).type == RunCancelled.__name__ for entry in void]
    child = child_of(run, key, workflow, request, at, sum(cancelled))
    if not void or cancelled[-1]:
        return child, (CreateRun(child),)
    retry = Delivery(child.id, DeliveryKind.RETRY, "", b"null", at)
    return child, (CreateRun(child), Deliver(retry))


def end_of_run(
    run: Run, output: bytes | None, error: ErrorRecord | None, at: float, *, asked_people: bool = True
) -> tuple[Change, ...]:
    """Return what goes with the end of `run`: its reviews close, if it has any, and its parent, if any, is told."""
    closed = (CloseReviews(run.id),) if asked_people else ()
    if run.parent is None:
        return closed
    payload = encode_error(error) if error is not None else output or b"null"
    told = Delivery(
        run.parent.run,
        DeliveryKind.CHILD,
        run.parent.key,
        payload,
        at,
        error is not None,
        since=run.created_at,
    )
    return *closed, Deliver(told)


def last_move(run: Run) -> RunMoved:
    """Return the move that brought a stored run to where it stands."""
    at = run.finished_at or run.created_at
    return RunMoved(
        run.id, run.workflow, run.state, at, run.spending, run.waiting_on, run.error, run.wake_at, run.output
    )


def new_seed() -> int:
    """Return 62 random bits: the start of a run's random numbers."""
    return int.from_bytes(os.urandom(8), "big") >> 2


def taking(deliveries: Iterable[Delivery]) -> list[Change]:
    """Return what removes these deliveries from the inbox."""
    return [TakeDelivery(delivery.id) for delivery in deliveries]
