"""What a run brings about beside itself: a review, a child run, word to its parent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from podium.domain.happenings import RunMoved
from podium.domain.ids import child_run_id, digest, repeated_key, review_id
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.journal import EntryType, Signal
from podium.domain.operations import OperationKind
from podium.domain.reviews import Review
from podium.domain.runs import Parent, Placement, Run
from podium.domain.states import ReviewState, RunState
from podium.flow.failures import encode_error, ended_for_good
from podium.ports.journal import Change, CloseReviews, CreateRun, Deliver, PutBack, TakeDelivery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from podium.domain.errors import ErrorRecord
    from podium.domain.history import History
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
        parent=Parent(run.id, repeated_key(key, times)),
        source=run.source,
        version=workflow.version,
        placement=_placed(run, workflow, at),
    )


def _placed(run: Run, workflow: Workflow[Any, Any], at: float) -> Placement:
    # In its queue a child is as urgent as its parent.
    return Placement() if workflow.queue is None else Placement(workflow.queue, run.placement.priority, at)


def children_before(history: History, key: str) -> int:
    """Return how many child runs at journal key `key` have ended for good and no longer count.

    They have completed, or were cancelled, by somebody or together with their parent when that failed.
    """
    return sum(map(ended_for_good, history.void.get(key, ()))) + history.unanswered.get(key, 0)


def is_outdated(history: History, key: str, delivery: Delivery) -> bool:
    """Return whether `delivery` tells of the end of a child run at `key` in whose place there is another by now."""
    present = repeated_key(key, children_before(history, key))
    return delivery.kind is DeliveryKind.CHILD and delivery.key != present


def cancelled_child(
    run: Run,
    key: str,
    workflow: Workflow[Any, Any],
    request: StartChild,
    at: float,
    history: History,
) -> tuple[Change, ...]:
    """Return what tells the child run at journal key `key` that `run` no longer waits for it.

    Creates it first, unless it is there: after a crash nobody can tell whether it was.
    """
    child = child_of(run, key, workflow, request, at, children_before(history, key))
    cancel = Delivery(child.id, DeliveryKind.CANCEL, "", b"null", child.created_at)
    return CreateRun(child), Deliver(cancel)


def start_of_child(
    run: Run,
    key: str,
    workflow: Workflow[Any, Any],
    request: StartChild,
    at: float,
    history: History,
) -> tuple[Run, tuple[Change, ...]]:
    """Return the child run that `run` starts at journal key `key`, and what starts it.

    When `run` was retried, a child that failed is retried too, and one that goes on beside, or has ended meanwhile,
    is asked for its end; see `children_before` for those whose place another takes.
    """
    child = child_of(run, key, workflow, request, at, children_before(history, key))
    if not history.is_retried:
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


def answer_of_ended(run: Run, mail: Sequence[Delivery], at: float) -> list[Change]:
    """Return what is done about `mail` for a run that has ended: it is dropped, and who asks for the end is told again.

    A failed run keeps its events: it will want them when it is retried.
    """
    keeps = (DeliveryKind.EVENT,) if run.state is RunState.FAILED else ()
    dropped = taking(delivery for delivery in mail if delivery.kind not in keeps)
    if run.parent is None or all(delivery.kind is not DeliveryKind.RETRY for delivery in mail):
        return dropped
    return [*dropped, *end_of_run(run, run.output, run.error, at, asked_people=False)]


def put_back(run: Run, entries: Sequence[Entry]) -> tuple[Change, ...]:
    """Return what puts the events and the cancellation in `entries`, which `run` did not hear of, into its inbox again."""
    events = [
        Delivery(run.id, DeliveryKind.EVENT, "", entry.payload, entry.started_at, name=entry.name)
        for entry in entries
        if entry.kind is OperationKind.EVENT and entry.type is EntryType.DONE
    ]
    cancelled = [
        Deliver(Delivery(run.id, DeliveryKind.CANCEL, "", b"null", entry.at))
        for entry in entries
        if entry.type is EntryType.SIGNAL and entry.name == Signal.CANCEL
    ]
    return (*([PutBack(events)] if events else []), *cancelled)


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
