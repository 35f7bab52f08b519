"""Use-cases on reviews: list, show, decide. They work beside a process that owns the database."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, assert_never

import orjson

from podium.app.wanted import wanted
from podium.domain.errors import InvalidInput
from podium.domain.reviews import Decision, DecisionVerdict, Review
from podium.domain.runs import DEFAULT_TENANT
from podium.domain.states import DECIDABLE_REVIEW_STATES, ReviewState
from podium.ports.storage import Storage
from podium.storage import reviews

MAX_COMMENT = 4000


class Reviews:
    """The reviews of one tenant."""

    def __init__(self, storage: Storage, tenant: str = DEFAULT_TENANT) -> None:
        self._storage = storage
        self._tenant = tenant

    async def list(
        self,
        *,
        states: Collection[ReviewState] | None = DECIDABLE_REVIEW_STATES,
        queue: str | None = None,
        limit: int = 50,
    ) -> Sequence[Review]:
        """Return up to `limit` reviews, most urgent first; by default those that can be decided."""
        query = partial(reviews.list_reviews, tenant=self._tenant, states=states, queue=queue, limit=limit)
        return await self._storage.read(query)

    async def get(self, review: str) -> Review:
        """Return the review whose id is or begins with `review`; raises `UnknownReview` or `InvalidInput`."""
        return await self._storage.read(partial(reviews.find_review, prefix=review, tenant=self._tenant))

    async def decide(
        self,
        review: str,
        verdict: DecisionVerdict,
        *,
        reviewer: str,
        value: bytes | None = None,
        comment: str = "",
        seen: str | None = None,
    ) -> tuple[Review, bool]:
        """Decide a review, once; the decision is on disk when this returns.

        `value` is the JSON of an edited or given value, and is checked against the review's schema. `seen`
        is the digest of the proposal that the reviewer looked at, when it is known; another proposal is
        not decided. Returns the review as it stands and whether this decision is the one that stands: a
        second decision changes nothing and returns the first.

        Raises `UnknownReview`, `ReviewClosed`, and `InvalidInput` for a verdict or value that does not fit.
        """
        found = await self.get(review)
        if found.decision is not None:
            return found, False
        if not reviewer.strip():
            raise InvalidInput("a decision needs the name of the reviewer.")
        decision = Decision(
            verdict=verdict,
            reviewer=reviewer.strip(),
            value=decided_value(found, verdict, value),
            comment=comment[:MAX_COMMENT],
            decided_at=time.time(),
            proposal_digest=seen or found.proposal_digest,
        )
        return await self._storage.write(partial(reviews.decide, review=found.id, decision=decision))


def decided_value(review: Review, verdict: DecisionVerdict, given: bytes | None) -> bytes | None:
    """Return the value that a verdict on `review` decides for, as JSON; None when it rejects.

    `given` is what the reviewer typed or a file holds: JSON or, where text is asked for, bare text. Raises
    `InvalidInput` when it does not go with the verdict or does not fit the review's schema.
    """
    match verdict:
        case DecisionVerdict.APPROVE:
            if given is not None:
                raise InvalidInput("an approval takes the proposal as it is; to change it, decide `edit`.")
            return review.draft.proposal
        case DecisionVerdict.REJECT:
            if given is not None:
                raise InvalidInput("a rejection takes no value; give the reason as its comment.")
            return None
        case DecisionVerdict.EDIT:
            if given is None or not given.strip():
                raise InvalidInput("an edit needs the new value, as JSON or, where text is asked for, bare.")
            return _fitting(review, given)
        case _:
            assert_never(verdict)


def _fitting(review: Review, given: bytes) -> bytes:
    import jsonschema

    validator = jsonschema.Draft202012Validator
    schema = orjson.loads(review.draft.schema)
    value = _text(given) if schema.get("type") == "string" else _json(given, review.draft.schema)
    errors = sorted(
        validator(schema, format_checker=validator.FORMAT_CHECKER).iter_errors(value),
        key=lambda error: len(error.path),
    )
    if errors:
        path = "".join(f".{part}" for part in errors[0].absolute_path) or "value"
        raise InvalidInput(
            f"the value does not fit review {review.id}: {path.lstrip('.')}: {errors[0].message}"
        )
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _text(given: bytes) -> str:
    """Return text that was given as a JSON string or bare, as people type it, whatever it looks like."""
    try:
        value = orjson.loads(given)
        return value if isinstance(value, str) else given.decode().strip()
    except orjson.JSONDecodeError:
        pass
    try:
        return given.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the value is not UTF-8 text: {error.reason} at byte {error.start}.") from None


def _json(given: bytes, schema: bytes) -> Any:
    try:
        # The standard library's, because it keeps whole numbers of any size.
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the value is not valid JSON: {error}; wanted is {wanted(schema)}.") from None
