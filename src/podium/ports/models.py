"""Language models: one request, one reply, failures classified once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from podium.domain.answers import FailureKind, Usage

if TYPE_CHECKING:
    from podium.domain.money import Money


class Role(StrEnum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the request."""

    role: Role
    text: str


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Deadlines of one request, in seconds: all of it, connecting, the first token, and any pause after it."""

    total: float
    connect: float = 5.0
    first_token: float = 20.0
    stall: float = 30.0


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is asked of a model.

    `schema` is the JSON schema that the reply must satisfy, named `schema_name`; None asks for free text.
    `temperature` None leaves the provider's default. `on_token` is called when the first token comes, by providers
    that notice.
    """

    messages: Sequence[Message]
    limits: CallLimits
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    max_tokens: int = 1024
    temperature: float | None = None
    on_token: Callable[[], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TokenProbability:
    """One generated token and the natural logarithm of the probability that the model gave it."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What a model answered.

    `model` is the model that answered, as the provider names it. `tokens` is empty when the provider gives
    no probabilities. `cost` is the provider's or the price table's figure, None when no price is known;
    `price_table` says whose it is (`provider`, `settings`, `genai-prices 0.2.3`, `free`).
    """

    text: str
    finish: FinishReason
    usage: Usage
    model: str
    tokens: Sequence[TokenProbability] = field(default=())
    cost: Money | None = None
    price_table: str = ""


class ModelFailure(Exception):
    """A request failed. `kind` is its class, `retry_after` the provider's wish in seconds when it gave one.

    `usage` and `cost` are what the provider counted before it failed, priced by `price_table`. The message is for people and holds
    no credential.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        retry_after: float | None = None,
        usage: Usage | None = None,
        cost: Money | None = None,
        price_table: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.usage = usage or Usage()
        self.cost = cost
        self.price_table = price_table


class ModelProvider(Protocol):
    """A family of models behind one way of calling them (`anthropic`, `local`, ...)."""

    def check(self, model: str) -> None:
        """Raise `CredentialMissing` or `InvalidInput` when `model` cannot be called at all. No traffic."""
        ...

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Make one request, without retries; raises `ModelFailure`. Cancellable at any moment."""
        ...

    async def close(self) -> None:
        """Release clients, threads and models. Safe to call twice."""
        ...


def _unknown_price(_: Usage) -> Money | None:
    return None


def _unknown_window() -> int | None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One way to a model: at a provider, with a credential.

    `place` is the provider's name, with its address where that is not the vendor's own (`openai`, `openai@URL`).
    `model` is the model's own name. `credential` is the name of the environment variable that holds the key, empty
    without one. `price` returns what tokens cost, `window` how many the model takes; both None when that is not known.
    """

    provider: ModelProvider
    place: str
    model: str
    credential: str = ""
    price: Callable[[Usage], Money | None] = _unknown_price
    window: Callable[[], int | None] = _unknown_window
    key: tuple[str, str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.place, self.model, self.credential))

    @property
    def label(self) -> str:
        """What people call it: `openai:gpt-5 (OPENAI_API_KEY)`."""
        provider, at, url = self.place.partition("@")
        return f"{provider}:{self.model}{at}{url}" + (f" ({self.credential})" if self.credential else "")


class ModelProviders(Protocol):
    """Finds the provider of a model named `provider:model`."""

    def routes(self, name: str) -> Sequence[Route]:
        """Return the ways to a model, one for each credential; raises `InvalidInput` naming the known providers."""
        ...

    def find(self, name: str) -> tuple[ModelProvider, str]:
        """Return the provider and the model's own name; raises `InvalidInput` naming the known providers."""
        ...

    async def close(self) -> None:
        """Close every provider that was opened."""
        ...
