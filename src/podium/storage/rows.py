"""Rows and what they stand for: the mapping between tables and domain dataclasses, written once.

Every `..._row` function returns column values by name; every `..._of` function takes the values of the query
beside it, in its order, from SQLAlchemy or from the driver.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Select, select

from podium.domain.answers import Usage
from podium.domain.errors import ErrorRecord
from podium.domain.ids import ReviewId, RunId
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.reviews import Decision, DecisionVerdict, Review, ReviewDraft, ReviewKind
from podium.domain.runs import Origin, Parent, Placement, Run, Spending
from podium.domain.states import ReviewState, RunState
from podium.storage.blobs import Contents, contents
from podium.storage.tables import decisions, inbox, reviews, runs
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = Sequence[Any]
"""Column values in the order of a query."""

_NOWHERE = Placement()

Kept = tuple[bytes | None, bytes | None]
"""A value as stored: itself, or the digest that it is kept under in pieces."""


def error_json(error: ErrorRecord | None) -> bytes | None:
    """Return an error as UTF-8 JSON, or None."""
    if error is None:
        return None
    return orjson.dumps(
        {
            "type": storable(error.type),
            "message": storable(error.message),
            "retryable": error.retryable,
            "where": None if error.where is None else storable(error.where),
        }
    )


def error_of(data: bytes | None) -> ErrorRecord | None:
    """Return the error that `error_json` encoded."""
    return None if data is None else ErrorRecord(**orjson.loads(data))


def run_row(run: Run, kept_input: Kept, kept_output: Kept) -> dict[str, Any]:
    """Return the row of `run`, whose input and output are kept as given."""
    return {
        "id": run.id,
        "tenant": run.tenant,
        "workflow": run.workflow,
        "state": run.state.value,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "wake_at": run.wake_at,
        "waiting_on": None if run.waiting_on is None else storable(run.waiting_on),
        "seed": run.seed,
        "source": None if run.source is None else storable(run.source),
        "parent_run": run.parent and run.parent.run,
        "parent_key": run.parent and run.parent.key,
        "input": kept_input[0],
        "input_digest": kept_input[1],
        "output": kept_output[0],
        "output_digest": kept_output[1],
        "error": error_json(run.error),
        "input_tokens": run.spending.usage.input_tokens,
        "output_tokens": run.spending.usage.output_tokens,
        "cost_nanos": run.spending.cost_nanos,
        "active_seconds": run.spending.active_seconds,
        "unpriced": run.spending.unpriced,
        "version": storable(run.version),
        "generation": run.generation,
        "forked_from_run": run.forked_from and run.forked_from.run,
        "forked_from_key": run.forked_from and run.forked_from.key,
        "trigger": None if run.trigger is None else storable(run.trigger),
        "queue": run.placement.queue,
        "priority": run.placement.priority,
        "start_at": run.placement.start_at,
        "debounce": run.placement.debounce,
    }


def run_query() -> Select[Any]:
    """Select runs, for `runs_of`: first whose they are and what to read their long values by."""
    columns = (
        runs.c.tenant,
        runs.c.input_digest,
        runs.c.output_digest,
        runs.c.id,
        runs.c.workflow,
        runs.c.input,
        runs.c.seed,
        runs.c.created_at,
        runs.c.state,
        runs.c.output,
        runs.c.error,
        runs.c.parent_run,
        runs.c.parent_key,
        runs.c.source,
        runs.c.started_at,
        runs.c.finished_at,
        runs.c.wake_at,
        runs.c.waiting_on,
        runs.c.input_tokens,
        runs.c.output_tokens,
        runs.c.cost_nanos,
        runs.c.active_seconds,
        runs.c.version,
        runs.c.generation,
        runs.c.forked_from_run,
        runs.c.forked_from_key,
        runs.c.trigger,
        runs.c.queue,
        runs.c.priority,
        runs.c.start_at,
        runs.c.debounce,
        runs.c.unpriced,
    )
    return select(*columns)


def runs_of(conn: Connection, rows: Iterable[Row]) -> list[Run]:
    """Return the runs of rows of `run_query`; raises `StorageUnavailable` when a long value of one is lost."""
    found = list(rows)
    long = contents(conn, ((row[0], digest) for row in found for digest in row[1:3] if digest is not None))
    return [_run_of(row, long) for row in found]


def _run_of(row: Row, long: Contents) -> Run:
    (
        tenant, input_digest, output_digest, id, workflow, input, seed, created_at, state, output, error,
        parent_run, parent_key, source, started_at, finished_at, wake_at, waiting_on, input_tokens, output_tokens,
        cost_nanos, active_seconds, version, generation, forked_from_run, forked_from_key, trigger, queue,
        priority, start_at, debounce, unpriced,
    ) = row  # fmt: skip
    if input_digest is not None:
        input = long.value(tenant, input_digest, f"the input of run {id!a}")
    if output_digest is not None:
        output = long.value(tenant, output_digest, f"the output of run {id!a}")
    return Run(
        id=RunId(id),
        workflow=workflow,
        input=input,
        seed=seed,
        created_at=created_at,
        tenant=tenant,
        state=RunState(state),
        output=output,
        error=error_of(error),
        parent=None if parent_run is None else Parent(RunId(parent_run), parent_key),
        source=source,
        started_at=started_at,
        finished_at=finished_at,
        wake_at=wake_at,
        waiting_on=waiting_on,
        spending=Spending(Usage(input_tokens, output_tokens), cost_nanos, active_seconds, unpriced),
        version=version,
        generation=generation,
        forked_from=None if forked_from_run is None else Origin(RunId(forked_from_run), forked_from_key),
        trigger=trigger,
        placement=_NOWHERE
        if queue is start_at is debounce is None and not priority
        else Placement(queue, priority, start_at, debounce),
    )


def review_row(review: Review) -> dict[str, Any]:
    """Return the row of `review`, without its decision."""
    draft = review.draft
    return {
        "id": review.id,
        "tenant": review.tenant,
        "run_id": review.run,
        "key": review.key,
        "kind": draft.kind.value,
        "subject": storable(draft.subject),
        "queue": storable(draft.queue),
        "priority": draft.priority,
        "state": review.state.value,
        "proposal": draft.proposal,
        "proposal_digest": review.proposal_digest,
        "schema": draft.schema,
        "evidence": draft.evidence,
        "allowed": " ".join(verdict.value for verdict in draft.allowed),
        "due": draft.due,
        "opened_at": review.opened_at,
        "due_at": math.inf if review.due_at is None else review.due_at,
    }


def review_query() -> Select[Any]:
    """Select reviews with their decisions, for `review_of`."""
    return select(
        reviews.c.id,
        reviews.c.tenant,
        reviews.c.run_id,
        reviews.c.key,
        reviews.c.kind,
        reviews.c.subject,
        reviews.c.queue,
        reviews.c.proposal,
        reviews.c.schema,
        reviews.c.evidence,
        reviews.c.allowed,
        reviews.c.priority,
        reviews.c.due,
        reviews.c.proposal_digest,
        reviews.c.state,
        reviews.c.opened_at,
        reviews.c.due_at,
        decisions.c.verdict,
        decisions.c.reviewer,
        decisions.c.value,
        decisions.c.comment,
        decisions.c.decided_at,
        decisions.c.proposal_digest,
    ).select_from(reviews.outerjoin(decisions, decisions.c.review_id == reviews.c.id))


def review_of(row: Row) -> Review:
    """Return the review of one row of `review_query`."""
    (
        id, tenant, run, key, kind, subject, queue, proposal, schema, evidence, allowed, priority, due, digest,
        state, opened_at, due_at, verdict, reviewer, value, comment, decided_at, decided_digest,
    ) = row  # fmt: skip
    decision = (
        None
        if verdict is None
        else Decision(DecisionVerdict(verdict), reviewer, value, comment, decided_at, decided_digest)
    )
    draft = ReviewDraft(
        kind=ReviewKind(kind),
        subject=subject,
        queue=queue,
        proposal=proposal,
        schema=schema,
        evidence=evidence,
        allowed=tuple(DecisionVerdict(name) for name in allowed.split()),
        priority=priority,
        due=due,
    )
    return Review(
        id=ReviewId(id),
        tenant=tenant,
        run=RunId(run),
        key=key,
        draft=draft,
        proposal_digest=digest,
        state=ReviewState(state),
        opened_at=opened_at,
        due_at=None if math.isinf(due_at) else due_at,
        decision=decision,
    )


def decision_row(review: Review, decision: Decision) -> dict[str, Any]:
    """Return the row of what was decided on `review`."""
    return {
        "review_id": review.id,
        "tenant": review.tenant,
        "verdict": decision.verdict.value,
        "reviewer": storable(decision.reviewer),
        "value": decision.value,
        "comment": storable(decision.comment),
        "decided_at": decision.decided_at,
        "proposal_digest": decision.proposal_digest,
    }


def delivery_query() -> Select[Any]:
    """Select deliveries, for `delivery_of`."""
    return select(
        inbox.c.run_id,
        inbox.c.kind,
        inbox.c.key,
        inbox.c.payload,
        inbox.c.at,
        inbox.c.failed,
        inbox.c.id,
        inbox.c.since,
        inbox.c.name,
    )


def delivery_of(row: Row) -> Delivery:
    """Return the delivery of one row of `delivery_query`."""
    run, kind, key, payload, at, failed, id, since, name = row
    return Delivery(RunId(run), DeliveryKind(kind), key, payload, at, bool(failed), id, since, name)
