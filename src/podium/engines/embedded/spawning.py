"""What a run brings about beside itself: a review, a child run, word to its parent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from podium.domain.happenings import RunMoved
from podium.domain.ids import child_run_id, digest, review_id
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.reviews import Review
from podium.domain.runs import Parent, Run
from podium.domain.states import ReviewState
from podium.flow.failures import encode_error
from podium.ports.journal import Change, CloseReviews, CreateRun, Deliver

if TYPE_CHECKING:
    from podium.domain.errors import ErrorRecord
    from podium.domain.operations import AskPerson, StartChild


def review_for(run: Run, key: str, request: AskPerson, at: float) -> Review:
    """Return the review that `run` opens at journal key `key`; `at` is seconds since the epoch."""
    draft = request.draft
    return Review(
        id=review_id(run.id, key),
        tenant=run.tenant,
        run=run.id,
        key=key,
        draft=draft,
        proposal_digest=digest(draft.proposal or b"", draft.schema),
        state=ReviewState.OPEN,
        opened_at=at,
        due_at=None if draft.due is None else at + draft.due,
    )


def child_of(run: Run, key: str, request: StartChild, at: float) -> Run:
    """Return the child run that `run` starts at journal key `key`; `at` is seconds since the epoch."""
    return Run(
        id=child_run_id(run.id, key),
        workflow=request.workflow,
        input=request.input,
        seed=new_seed(),
        created_at=at,
        tenant=run.tenant,
        parent=Parent(run.id, key),
        source=run.source,
    )


def cancelled_child(run: Run, key: str, request: StartChild, at: float) -> tuple[Change, ...]:
    """Return what tells the child run at `key` that its parent no longer waits for it.

    Creates it first, unless it is there: after a crash nobody can tell whether it was.
    """
    child = child_of(run, key, request, at)
    return CreateRun(child), Deliver(Delivery(child.id, DeliveryKind.CANCEL, "", b"null", at))


def end_of_run(run: Run, output: bytes | None, error: ErrorRecord | None, at: float) -> tuple[Change, ...]:
    """Return what goes with the end of `run`: its reviews close, and its parent, if any, is told."""
    closed = CloseReviews(run.id)
    if run.parent is None:
        return (closed,)
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
    return closed, Deliver(told)


def last_move(run: Run) -> RunMoved:
    """Return the move that brought a stored run to where it stands."""
    at = run.finished_at or run.created_at
    return RunMoved(
        run.id, run.workflow, run.state, at, run.spending, run.waiting_on, run.error, run.wake_at, run.output
    )


def new_seed() -> int:
    """Return 62 random bits: the start of a run's random numbers."""
    return int.from_bytes(os.urandom(8), "big") >> 2
