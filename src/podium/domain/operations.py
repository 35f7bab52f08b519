"""An operation: whatever a run does to the world or waits for. One shape for every kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from podium.domain.retries import RetryPolicy
    from podium.domain.reviews import ReviewDraft


class OperationKind(StrEnum):
    """What an operation is. A new capability is a new kind, not a new mechanism."""

    STEP = "step"
    MODEL = "model"
    TIMER = "timer"
    REVIEW = "review"
    CHILD = "child"
    EVENT = "event"
    PUBLISH = "publish"
    ATTRIBUTES = "attributes"
    EMIT = "emit"


class Codec(Protocol):
    """Turns an outcome value into stored JSON and back; live delivery and replay both go through it."""

    def encode(self, value: Any) -> bytes:
        """Return `value` as UTF-8 JSON; raises `NotSerialisable` with the path of the offending field."""
        ...

    def decode(self, data: bytes) -> Any:
        """Return the value that `encode` stored; raises `ValueError` when it does not fit the declared type."""
        ...


@dataclass(frozen=True, slots=True)
class Execute:
    """Do outside work: the kind's executor is called with this request.

    `target` is the step or prompt definition, `arguments` its bound call arguments, `policy` what to do
    when an attempt fails. `undo`, called with the result and the arguments, performs the compensation.
    """

    target: Any
    arguments: Mapping[str, Any]
    policy: RetryPolicy
    undo: Callable[[Any, Mapping[str, Any]], Coroutine[Any, Any, Any]] | None = None


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Wait until `due`, asked for at `since`; both in seconds since the epoch. `what` says for what, in words."""

    due: float
    since: float
    what: str = ""


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Open a review and wait for its decision."""

    draft: ReviewDraft


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start a run of `workflow` (its registered name) with the encoded `input` and wait for its result.

    `outlives` says that it goes on when nobody waits for it any more; otherwise it is cancelled.
    """

    workflow: str
    input: bytes
    outlives: bool = False


@dataclass(frozen=True, slots=True)
class WaitForEvent:
    """Wait for the next event called `name` that nothing else in the run has taken."""

    name: str


Request = Execute | WaitUntil | AskPerson | StartChild | WaitForEvent


@dataclass(frozen=True, slots=True)
class Intent:
    """What workflow code asks for: an operation before the run has given it a key.

    `name` is the step or prompt name, `fingerprint` a digest of its arguments; together with the key they
    show on replay whether the code still asks for the same thing.
    """

    kind: OperationKind
    name: str
    fingerprint: str
    request: Request
    codec: Codec


@dataclass(frozen=True, slots=True)
class Operation:
    """An intent that has its journal key: `branch path:name#occurrence in branch`."""

    key: str
    intent: Intent = field(repr=False)
