"""The line of candidates: who is asked next, and what a failure changes about that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from podium.domain.answers import FailureKind
from podium.domain.errors import BudgetExceeded
from podium.gateway.failures import RULES, Action, Fault
from podium.gateway.limits.turns import Waiter
from podium.gateway.policy import CallPolicy
from podium.gateway.traffic import Held
from podium.ports.models import Message, Route

_LAST_LOOK = 0.01


class Move(StrEnum):
    """What was done after a failed request."""

    RETRY = "retry"
    SWITCH = "switch"
    WAIT = "wait"
    REASK = "reask"
    EXTEND = "extend"
    NEXT = "next"
    FAIL = "fail"


@dataclass(slots=True)
class Candidate:
    """One model that may answer, and how it has fared in this call.

    `messages` and `max_tokens` are those of its next request, `ready_at` the earliest time for it; until then it
    holds its place, or `yields`: goes after all who do not. `fault` is the latest, `told` the time before which the
    provider does not want to be asked. `held` is why it could not be asked when it was last looked at, `waited` the
    seconds spent on such reasons, `breach` why no budget has room for it, `loaded` whether its provider was made ready. `extra`: its next request is a retry or a fallback, the retry bought for `price`.
    `shunned` and `refused` are credentials that were asked to slow down, or turned down, in this call. Times are the
    gateway's clock, in seconds.
    """

    model: str
    messages: Sequence[Message]
    max_tokens: int
    reasks_left: int
    ready_at: float = 0.0
    yields: bool = False
    extended: bool = False
    repeated: bool = False
    requests: int = 0
    setbacks: int = 0
    fault: Fault | None = None
    told: float | None = None
    held: Held | None = None
    waited: float = 0.0
    extra: bool = False
    price: int = 0
    shunned: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    routes: Sequence[Route] = ()
    breach: BudgetExceeded | None = None
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Means:
    """What there is to go on with after a failure.

    `elsewhere`: another credential could be tried at once. `buy` returns the price of a retry, given whether the
    provider asked to slow down, or 0 when the process can afford none. `takes_more` says of another candidate
    whether it may take more tokens than the one that failed.
    """

    elsewhere: bool
    buy: Callable[[bool], int]
    takes_more: Callable[[Candidate], bool]


class Line:
    """The candidates of one call, in order. One retry budget and one deadline for all of them together.

    `latest` is the last fault and whose it was, None before there was any. `waiter` stands for the call in the queues
    of limits, None where it has not to wait for any.
    """

    def __init__(self, policy: CallPolicy, messages: Sequence[Message], deadline: float) -> None:
        self.candidates = [
            Candidate(model, messages, policy.max_tokens, policy.reasks) for model in policy.models
        ]
        self.deadline = deadline
        self._policy = policy
        self._standing = list(self.candidates)
        self._retries_left = policy.backoff.retries
        self.latest: tuple[Candidate, Fault] | None = None
        self.waiter: Waiter | None = None

    def next(self, now: float) -> Candidate | None:
        """Return whom to ask next, at its `ready_at`; None when nobody is left or the deadline is over."""
        if not self._standing or now >= self.deadline:
            return None
        for candidate in self._standing:
            if not candidate.yields:
                return candidate
        # All have let the others go first: whoever is ready soonest.
        return min(self._standing, key=lambda candidate: candidate.ready_at)

    def others(self, candidate: Candidate) -> list[Candidate]:
        """Return who else could be asked now."""
        return [each for each in self._standing if each is not candidate and not each.yields]

    def queued(self) -> list[Candidate]:
        """Return who waits for room under a limit."""
        return [each for each in self._standing if each.held is not None and each.held.queues]

    def hold(self, candidate: Candidate, held: Held, fault: Fault, now: float) -> Move:
        """Let the others go first until a breaker, a limit or the provider's own wish lets this one pass.

        `fault` is what that amounts to.
        """
        candidate.held = held
        self.latest = candidate, fault
        if candidate.fault is None:
            candidate.fault = fault
        if held.kind in {FailureKind.LIMITED, FailureKind.RATE_LIMIT}:
            candidate.told = held.until
        if not self._policy.outlasts_breakers and all(
            each.held is not None and each.held.is_open for each in self._standing
        ):
            self._standing.clear()
            return Move.FAIL
        until = held.until
        if held.queues and not held.is_known and now < self.deadline - _LAST_LOOK:
            # Others may be done at any time: that is worth waiting for until the end.
            until = min(until, self.deadline - _LAST_LOOK)
        if until >= self.deadline:
            return self._leave(candidate)
        candidate.ready_at = until
        candidate.yields = True
        return Move.WAIT

    def turn(self, candidate: Candidate, fault: Fault, now: float, jitter: float, means: Means) -> Move:
        """Take note of a failure and return what it leads to; `jitter` is a random number from 0 to 1."""
        self._note(candidate, fault)
        candidate.told = None if fault.retry_after is None else now + fault.retry_after
        candidate.extra, candidate.price = False, 0
        action = RULES[fault.kind].action
        if action is Action.LARGER:
            self._standing = [each for each in self._standing if each is candidate or means.takes_more(each)]
        move = self._move(action, candidate, means)
        match move:
            case Move.SWITCH:
                candidate.extra = True
                return move
            case Move.RETRY | Move.WAIT:
                return self._postpone(candidate, move, now, jitter, means)
            case Move.REASK:
                candidate.reasks_left -= 1
                return move
            case Move.EXTEND:
                candidate.extended = True
                candidate.max_tokens *= 2
                return move
            case Move.NEXT:
                return self._leave(candidate)
            case Move.FAIL:
                return self.give_up(candidate, fault)
            case _:
                assert_never(move)

    def give_up(self, candidate: Candidate, fault: Fault) -> Move:
        """Take note of a failure after which nobody is to be asked any more."""
        self._note(candidate, fault)
        self._standing.clear()
        for each in self.candidates:
            each.told = None
        return Move.FAIL

    def _note(self, candidate: Candidate, fault: Fault) -> None:
        candidate.fault = fault
        self.latest = candidate, fault

    def _move(self, action: Action, candidate: Candidate, means: Means) -> Move:
        match action:
            case Action.RETRY:
                return Move.RETRY if self._retries_left else Move.NEXT
            case Action.RETRY_ONCE:
                again = self._retries_left and not candidate.repeated
                candidate.repeated = True
                return Move.RETRY if again else Move.NEXT
            case Action.WAIT:
                return Move.WAIT if self._retries_left else Move.NEXT
            case Action.SWITCH:
                return Move.SWITCH if means.elsewhere else Move.NEXT
            case Action.SWITCH_OR_WAIT if means.elsewhere:
                return Move.SWITCH
            case Action.SWITCH_OR_WAIT:
                return Move.WAIT if self._retries_left else Move.NEXT
            case Action.REASK:
                return Move.REASK if candidate.reasks_left else Move.NEXT
            case Action.EXTEND:
                return Move.NEXT if candidate.extended else Move.EXTEND
            case Action.NEXT | Action.LARGER:
                return Move.NEXT
            case Action.NEXT_IF_PERMITTED:
                return Move.NEXT if self._policy.fallback_on_refusal else Move.FAIL
            case Action.FAIL:
                return Move.FAIL
            case _:
                assert_never(action)

    def _postpone(self, candidate: Candidate, move: Move, now: float, jitter: float, means: Means) -> Move:
        wished = None if candidate.told is None else candidate.told - now
        delay = self._policy.backoff.delay(candidate.setbacks + 1, jitter, wished)
        if now + delay >= self.deadline:
            return self._leave(candidate)
        candidate.price = means.buy(move is Move.WAIT)
        if not candidate.price:
            return self._leave(candidate)
        self._retries_left -= 1
        candidate.extra = True
        candidate.setbacks += 1
        candidate.ready_at = now + delay
        candidate.yields = move is Move.WAIT
        return move

    def _leave(self, candidate: Candidate) -> Move:
        self._standing.remove(candidate)
        return Move.NEXT if self._standing else Move.FAIL
