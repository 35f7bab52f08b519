"""What an operation brings into being beside its run: a review, a child run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from podium.domain.ids import child_run_id, digest, review_id
from podium.domain.reviews import Review
from podium.domain.runs import Parent, Run
from podium.domain.states import ReviewState

if TYPE_CHECKING:
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


def new_seed() -> int:
    """Return 62 random bits: the start of a run's random numbers."""
    return int.from_bytes(os.urandom(8), "big") >> 2
