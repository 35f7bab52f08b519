"""Reviews and decisions: the repository, as plain functions over a connection."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import bindparam, insert, select, update

from podium.domain.errors import InvalidInput, ReviewClosed, UnknownReview
from podium.domain.ids import ReviewId, digest
from podium.domain.inbox import Delivery, DeliveryKind
from podium.domain.states import DECIDABLE_REVIEW_STATES, REVIEW_TRANSITIONS, ReviewState
from podium.storage.inbox import deliver
from podium.storage.present import insert_unless_present
from podium.storage.rows import decision_row, review_of, review_query, review_row
from podium.storage.tables import decisions, inline, reviews
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from podium.domain.reviews import Decision, Review

UNDECIDED = frozenset(
    state for state, following in REVIEW_TRANSITIONS.items() if ReviewState.CANCELLED in following
)
"""States in which a review still waits for a person, so that the end of its run cancels it."""

_CANCEL = (
    update(reviews)
    .where(reviews.c.run_id == bindparam("run"), reviews.c.state.in_(inline(UNDECIDED)))
    .values(state=inline([ReviewState.CANCELLED])[0])
)

CLOSE_ALL = _CANCEL
"""Cancels the undecided reviews of one run."""

CLOSE_ONE = _CANCEL.where(reviews.c.key == bindparam("at_key"))
"""Cancels the undecided review at one journal key of one run."""


def insert_review(conn: Connection, review: Review) -> bool:
    """Store `review` unless its run has one at its key already; return whether it was stored.

    Should another review have the same short id, this one is stored under a longer id.
    """
    row = review_row(review)
    if insert_unless_present(conn, reviews, row):
        return True
    taken = select(reviews.c.id).where(reviews.c.run_id == review.run, reviews.c.key == review.key)
    if conn.scalar(taken) is not None:
        return False
    return insert_unless_present(conn, reviews, row | {"id": digest(review.run, review.key)})


def get_review(conn: Connection, review: ReviewId, *, tenant: str | None = None) -> Review | None:
    """Return the review with exactly this id, of this tenant when one is given, or None."""
    return _first(conn, reviews.c.id == review, tenant)


def find_review(conn: Connection, prefix: str, *, tenant: str) -> Review:
    """Return the tenant's only review whose id begins with `prefix`, or is `prefix`.

    Raises `UnknownReview` when there is none and `InvalidInput` when there are several.
    """
    prefix = storable(prefix)
    exact = get_review(conn, ReviewId(prefix), tenant=tenant)
    if exact is not None:
        return exact
    begins = reviews.c.id.between(prefix, f"{prefix}{chr(sys.maxunicode)}")
    query = review_query().where(reviews.c.tenant == tenant, begins).order_by(reviews.c.id).limit(3)
    found = [review_of(row) for row in conn.execute(query)] if prefix else []
    match found:
        case []:
            raise _unknown(prefix)
        case [only]:
            return only
        case _:
            several = ", ".join(review.id for review in found)
            raise InvalidInput(
                f"Several reviews begin with {prefix!a} ({several}, ...): give more of the id."
            )


def list_reviews(
    conn: Connection,
    *,
    tenant: str,
    states: Collection[ReviewState] | None = None,
    queue: str | None = None,
    limit: int = 50,
) -> Sequence[Review]:
    """Return up to `limit` reviews of these states and this queue: the most urgent first.

    The order is by priority (higher first), then by when they are due, then by when they were opened.
    """
    query = review_query().where(reviews.c.tenant == tenant)
    if states is not None:
        query = query.where(reviews.c.state.in_(sorted(states)))
    if queue is not None:
        query = query.where(reviews.c.queue == storable(queue))
    urgency = (reviews.c.priority.desc(), reviews.c.due_at, reviews.c.opened_at, reviews.c.id)
    return [review_of(row) for row in conn.execute(query.order_by(*urgency).limit(limit))]


def decide(conn: Connection, review: ReviewId, decision: Decision) -> tuple[Review, bool]:
    """Record `decision` if it is the first, together with its delivery to the run.

    Returns the review as it then stands, and whether this decision is the one that stands. Raises
    `UnknownReview`; `ReviewClosed` when the review takes no decision any more and none was made; and
    `InvalidInput` when the verdict is not allowed or the proposal is not the one the decision was made on.
    Two processes may do this at once: the database lets one win. Run it in a transaction of its own.
    """
    stored = get_review(conn, review)
    if stored is None:
        raise _unknown(review)
    if stored.decision is not None:
        return stored, False
    if stored.state not in DECIDABLE_REVIEW_STATES:
        raise _closed(stored)
    _check(stored, decision)
    settled = conn.execute(
        update(reviews)
        .where(
            reviews.c.id == review,
            reviews.c.state.in_(inline(DECIDABLE_REVIEW_STATES)),
            reviews.c.proposal_digest == decision.proposal_digest,
        )
        .values(state=ReviewState.DECIDED.value)
    )
    if settled.rowcount == 1:
        conn.execute(insert(decisions).values(decision_row(stored, decision)))
        deliver(conn, _delivery(stored, decision))
    now = get_review(conn, review)
    if now is None:
        raise _unknown(review)
    if now.decision is None:
        raise _closed(now)
    return now, settled.rowcount == 1


def decision_payload(decision: Decision) -> bytes:
    """Return the payload of the delivery that tells a run of `decision`, as UTF-8 JSON.

    An object with exactly `verdict`, `reviewer` and `comment` (strings) and `value`, which is the decided
    value itself as JSON, not a string of JSON, and null when the decision has none.
    """
    return orjson.dumps(
        {
            "verdict": decision.verdict.value,
            "reviewer": storable(decision.reviewer),
            "comment": storable(decision.comment),
            "value": None if decision.value is None else orjson.Fragment(decision.value),
        }
    )


def close_parameters(run: str, key: str | None) -> dict[str, Any]:
    """Return the parameters of `CLOSE_ALL` (when `key` is None) or `CLOSE_ONE`."""
    return {"run": run} if key is None else {"run": run, "at_key": key}


def _delivery(review: Review, decision: Decision) -> Delivery:
    return Delivery(
        run=review.run,
        kind=DeliveryKind.DECISION,
        key=review.key,
        payload=decision_payload(decision),
        at=decision.decided_at,
        since=review.opened_at,
    )


def _check(review: Review, decision: Decision) -> None:
    if decision.verdict not in review.draft.allowed:
        allowed = ", ".join(review.draft.allowed)
        raise InvalidInput(f"Review {review.id} does not take {decision.verdict}: decide one of {allowed}.")
    if decision.proposal_digest != review.proposal_digest:
        raise InvalidInput(
            f"Review {review.id} was decided on another proposal than the one it holds; nothing was recorded. "
            f"Look at it again with `podium reviews show {review.id}` and decide then."
        )


def _closed(review: Review) -> ReviewClosed:
    return ReviewClosed(
        f"Review {review.id} is {review.state} and takes no decision. "
        f"See what became of its run with `podium runs show {ascii(review.run)[1:-1]}`."
    )


def _unknown(review: str) -> UnknownReview:
    return UnknownReview(f"There is no review {review!a}. List the open ones with `podium reviews list`.")


def _first(conn: Connection, condition: ColumnElement[bool], tenant: str | None) -> Review | None:
    query = review_query().where(condition)
    if tenant is not None:
        query = query.where(reviews.c.tenant == tenant)
    row = conn.execute(query).first()
    return None if row is None else review_of(row)
