"""What a prompt returns, and the ledger of attempts behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from podium.domain.money import Money
from podium.domain.quality import Quality

T = TypeVar("T")
_MOST_TOKENS = 10**12

SIMILAR = "similar"
"""The outcome of a call that was given the answer to a similar question."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, as counted by the provider, from 0 to a trillion: what is beyond is cut off.

    A provider's figures are input like any other, and must neither be negative nor too large to be stored.
    """

    input_tokens: int = 0
    output_tokens: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_tokens", min(max(self.input_tokens, 0), _MOST_TOKENS))
        object.__setattr__(self, "output_tokens", min(max(self.output_tokens, 0), _MOST_TOKENS))

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


class FailureKind(StrEnum):
    """The classes into which every failure of a model call falls, once."""

    CONNECT = "connect"
    RESET = "reset"
    TIMEOUT = "timeout"
    STALL = "stall"
    SERVER = "server_error"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    QUOTA = "quota"
    AUTHENTICATION = "authentication"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    CONTEXT_WINDOW = "context_window"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    INVALID_SYNTAX = "invalid_syntax"
    INVALID_SCHEMA = "invalid_schema"
    UNAVAILABLE = "unavailable"
    BREAKER_OPEN = "breaker_open"
    LIMITED = "limited"
    BUDGET = "budget"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class CallAttempt:
    """One request to one model: what went out, what came back, what it cost.

    `prompt` is the rendered text as sent, `raw` the model's text as received (both only in the journal's
    attempt entries, empty in the copy that an `Answer` carries). `confidence` is 0 to 1 or None when the
    model gives no signal. `latency` is in seconds. `price_table` names where the price comes from: the table with
    its version (`genai-prices 0.2.3`), `provider`, `settings` or `free`. `priced` is False when tokens were used at
    a price that nobody knows; `cost` is 0 then, and says nothing. `estimated`: the request was cut off, and `usage` and
    `cost` are at least in part by the size of what went out and came back.
    """

    # Before what differs from call to call: stored, two prompts that begin alike then begin alike too.
    prompt: str = field(default="", kw_only=True)
    model: str
    number: int
    outcome: str
    failure: FailureKind | None = None
    message: str = ""
    usage: Usage = field(default_factory=Usage)
    cost: Money = field(default_factory=Money)
    latency: float = 0.0
    confidence: float | None = None
    raw: str = ""
    price_table: str = ""
    priced: bool = True
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The value a model gave, with everything needed to judge it.

    `confidence` is 0 to 1, or None when the model gives no signal. `cost` and `usage` cover all attempts.
    `prompt` is the prompt's name and version (`classify_intent@3f9c2a1b`).
    """

    value: T
    confidence: float | None
    quality: Quality
    model: str
    cost: Money
    usage: Usage
    prompt: str
    attempts: tuple[CallAttempt, ...] = ()

    @property
    def priced(self) -> bool:
        """Whether `cost` is all that the answer cost; False when an attempt's price is not known."""
        return all(attempt.priced for attempt in self.attempts)


AnyAnswer = Answer[Any]
