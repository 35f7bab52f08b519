"""What each class of failure leads to: one table, the only place that decides it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from podium.domain.answers import FailureKind
from podium.gateway.wording import one_line

_LONGEST_MESSAGE = 600


class Action(StrEnum):
    """What should follow a class of failure. What of it is used up or not permitted becomes `next` or `fail`."""

    RETRY = "retry"
    """Ask the same candidate again after a backoff."""

    RETRY_ONCE = "retry_once"
    """The same, but a second such failure of this candidate leads to the next."""

    WAIT = "wait"
    """Let other candidates go first; ask this one again once it is ready, if nobody has answered."""

    SWITCH = "switch"
    """Ask the same candidate with another credential, or else go on to the next."""

    SWITCH_OR_WAIT = "switch_or_wait"
    """Ask the same candidate with another credential, or else wait as `WAIT` does."""

    REASK = "reask"
    """Show the model its latest mistake and ask again."""

    EXTEND = "extend"
    """Ask again with twice the output tokens, once."""

    NEXT = "next"
    """Go on to the next candidate and do not come back."""

    LARGER = "larger"
    """Go on to the next candidate that takes more than this one did."""

    NEXT_IF_PERMITTED = "next_if_permitted"
    """Go on only if the prompt permits another model to answer what this one would not."""

    FAIL = "fail"
    """Give up: no candidate would fare better."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do about a class of failure, and what to tell the person who reads of it."""

    action: Action
    advice: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a request gave no answer. `message` is one line for people; `retry_after` is in seconds, if known."""

    kind: FailureKind
    message: str
    retry_after: float | None = None

    @classmethod
    def of(cls, kind: FailureKind, message: str, retry_after: float | None = None) -> Fault:
        """Return a fault whose message is fit to be shown and whose wait is one that a clock can keep."""
        known = retry_after is not None and math.isfinite(retry_after) and retry_after >= 0
        return cls(kind, one_line(message, _LONGEST_MESSAGE), retry_after if known else None)


_K = FailureKind
_LATER = "Try again later, or add a candidate of another provider in models=."
_SLOW = "Raise timeout=, or put a faster model first in models=."
_ACCOUNT = "Check the key and the account behind it, or add a candidate of another provider in models=."
_WRONG = "Make the template or the output type plainer, raise reasks=, or add a stronger model in models=."
_REFUSED = "Reword the template, or pass fallback_on_refusal=True to let the next candidate answer."

RULES: Final[Mapping[FailureKind, Rule]] = MappingProxyType(
    {
        _K.CONNECT: Rule(Action.RETRY, _LATER),
        _K.RESET: Rule(Action.RETRY, _LATER),
        _K.TIMEOUT: Rule(Action.RETRY, _SLOW),
        _K.SERVER: Rule(Action.RETRY, _LATER),
        _K.RATE_LIMIT: Rule(Action.SWITCH_OR_WAIT, _LATER),
        _K.OVERLOADED: Rule(Action.WAIT, _LATER),
        _K.STALL: Rule(Action.WAIT, _LATER),
        _K.EMPTY: Rule(Action.RETRY_ONCE, _WRONG),
        _K.TRUNCATED: Rule(Action.EXTEND, "Raise max_tokens=, or ask for less in the template."),
        _K.INVALID_SYNTAX: Rule(Action.REASK, _WRONG),
        _K.INVALID_SCHEMA: Rule(Action.REASK, _WRONG),
        _K.QUOTA: Rule(Action.SWITCH, _ACCOUNT),
        _K.AUTHENTICATION: Rule(Action.SWITCH, _ACCOUNT),
        _K.NOT_FOUND: Rule(Action.NEXT, "Correct the model's name in models=."),
        _K.BREAKER_OPEN: Rule(Action.WAIT, _LATER),
        _K.LIMITED: Rule(
            Action.WAIT, "Raise the limits in the settings, timeout=, or add a candidate in models=."
        ),
        _K.CONTEXT_WINDOW: Rule(
            Action.LARGER, "Shorten what goes in, or add a model with a larger context window."
        ),
        _K.UNAVAILABLE: Rule(Action.NEXT, "Do what the message says, or name other models in models=."),
        _K.BUDGET: Rule(Action.NEXT, "Raise the budget, or name a cheaper model in models=."),
        _K.INTERNAL: Rule(Action.NEXT, "Report it with the message above, or name other models in models=."),
        _K.CONTENT_FILTER: Rule(Action.NEXT_IF_PERMITTED, _REFUSED),
        _K.REFUSAL: Rule(Action.NEXT_IF_PERMITTED, _REFUSED),
        _K.BAD_REQUEST: Rule(
            Action.FAIL, "Correct what the message names; the same request would fail again."
        ),
    }
)
"""One rule for each class of failure; a test sees to it that none is missing."""

OF_THE_REQUEST: Final = frozenset({_K.BAD_REQUEST, _K.CONTENT_FILTER, _K.REFUSAL})
"""Failures that are no outage: the same request would be turned down on the best of days."""
