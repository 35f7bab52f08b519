"""The state machines. Each is one table of allowed transitions, and these tables alone decide them.

The diagrams in `docs/state_machines.md` are generated from the tables.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class RunState(StrEnum):
    """Where a run stands. `blocked` needs an engineer; `waiting` needs a person, a time or a message."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"


class ReviewState(StrEnum):
    """Where a person's task stands."""

    OPEN = "open"
    CLAIMED = "claimed"
    INFO_REQUESTED = "info_requested"
    DECIDED = "decided"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class BreakerState(StrEnum):
    """Where a circuit breaker stands. `open` lets no request through; `half_open` lets through one probe at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_R = RunState
RUN_TRANSITIONS: Final[Mapping[RunState, frozenset[RunState]]] = MappingProxyType(
    {
        _R.PENDING: frozenset({_R.RUNNING, _R.PAUSED, _R.CANCELLED, _R.BLOCKED}),
        _R.RUNNING: frozenset(
            {_R.WAITING, _R.PAUSED, _R.COMPLETED, _R.FAILED, _R.CANCELLED, _R.BLOCKED, _R.RUNNING}
        ),
        _R.WAITING: frozenset({_R.RUNNING, _R.PAUSED, _R.WAITING, _R.CANCELLED, _R.BLOCKED}),
        _R.PAUSED: frozenset({_R.PENDING, _R.RUNNING, _R.WAITING, _R.CANCELLED}),
        _R.FAILED: frozenset({_R.RUNNING}),
        _R.BLOCKED: frozenset({_R.RUNNING, _R.CANCELLED}),
        _R.COMPLETED: frozenset(),
        _R.CANCELLED: frozenset(),
    }
)
"""From each run state, the states it may change to."""

_V = ReviewState
REVIEW_TRANSITIONS: Final[Mapping[ReviewState, frozenset[ReviewState]]] = MappingProxyType(
    {
        _V.OPEN: frozenset(
            {_V.CLAIMED, _V.INFO_REQUESTED, _V.DECIDED, _V.EXPIRED, _V.CANCELLED, _V.SUPERSEDED}
        ),
        _V.CLAIMED: frozenset(
            {_V.OPEN, _V.INFO_REQUESTED, _V.DECIDED, _V.EXPIRED, _V.CANCELLED, _V.SUPERSEDED}
        ),
        _V.INFO_REQUESTED: frozenset({_V.OPEN, _V.CLAIMED, _V.EXPIRED, _V.CANCELLED, _V.SUPERSEDED}),
        _V.DECIDED: frozenset(),
        _V.EXPIRED: frozenset(),
        _V.CANCELLED: frozenset(),
        _V.SUPERSEDED: frozenset(),
    }
)
"""From each review state, the states it may change to."""

_B = BreakerState
BREAKER_TRANSITIONS: Final[Mapping[BreakerState, frozenset[BreakerState]]] = MappingProxyType(
    {
        _B.CLOSED: frozenset({_B.OPEN}),
        _B.OPEN: frozenset({_B.HALF_OPEN}),
        _B.HALF_OPEN: frozenset({_B.CLOSED, _B.OPEN}),
    }
)
"""From each state of a circuit breaker, the states it may change to."""

TERMINAL_RUN_STATES: Final = frozenset({_R.COMPLETED, _R.FAILED, _R.CANCELLED})
"""States in which a run has its final result. (`failed` may be left again, by an explicit retry.)"""

DECIDABLE_REVIEW_STATES: Final = frozenset(
    state for state, following in REVIEW_TRANSITIONS.items() if _V.DECIDED in following
)
"""States in which a review accepts a decision."""


def sources_of(target: RunState) -> frozenset[RunState]:
    """Return the run states from which `target` may be reached in one transition."""
    return frozenset(state for state, following in RUN_TRANSITIONS.items() if target in following)
