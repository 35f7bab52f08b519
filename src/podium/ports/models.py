"""Language models: one request, one reply, failures classified once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from podium.domain.answers import FailureKind, Usage
from podium.domain.media import Media
from podium.domain.schema_modes import SchemaMode

if TYPE_CHECKING:
    from podium.domain.money import Money


class Role(StrEnum):
    """Who speaks in a message; `tool` messages hold the results of the calls that an assistant asked for."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Text:
    """A part of a message that is text, between parts that are not."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool called.

    `arguments` is JSON as the model wrote it, meant to be one object and not checked. `id` names the call for
    its result; it is the provider's, or made up where the provider has none.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a tool call, for the model to read. `id` and `name` are those of the call."""

    id: str
    name: str
    text: str
    failed: bool = False


Part = Text | Media | ToolCall | ToolResult
"""What a message consists of."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the request: a text, or parts in their order.

    `stable`: so many characters at its beginning are the same in each request of its kind, as the provider's cache may
    like to know. They change nothing of what is said.
    """

    role: Role
    content: str | tuple[Part, ...]
    stable: int = field(default=0, compare=False, repr=False)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts."""
        return (Text(self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """All text of the message, without its other parts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may ask to have called; `schema` is the JSON schema of its arguments, an object."""

    name: str
    description: str
    schema: Mapping[str, Any]


class ToolChoice(StrEnum):
    """Whether the model may, must or must not call a tool."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
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
class TextDelta:
    """The next piece of a reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call: `index` counts the calls of the reply from 0.

    `id` and `name` come with the first piece of a call and are empty in the others; `arguments` is the next
    piece of its JSON.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


Delta = TextDelta | ToolCallDelta
"""A piece of a reply on its way."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a provider had counted of a request that was cut off.

    `cost` is None when no price is known; `price_table` says whose it is.
    """

    usage: Usage
    cost: Money | None = None
    price_table: str = ""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is asked of a model.

    `schema` is the JSON schema that the reply must satisfy, named `schema_name`; None asks for free text.
    `schema_mode` says how; None leaves it to what is known of the model. The reply's text is the JSON in every
    mode. `schema_told` says that the messages tell of the schema already. `tools` are those the model may ask for.
    `temperature`, `top_p` and `seed` None leave the provider's defaults. `stop`: texts before which the model stops.
    `on_token` is called when the first token comes, by providers that notice, which they do of replies in pieces.
    `on_delta` is called with each piece of the reply as
    it comes, on the event loop, and must not block; without it nobody watches, and the pieces are not made.
    `cache_key` is at most 64 characters, the same for requests that begin alike; empty where none are known.
    `longest` is the most bytes of text that are of any use in a reply: a provider need not read one to its end that must
    hold many times more.
    `on_counted` is called when the request is cancelled, by providers that had counted something of it by then.
    """

    messages: Sequence[Message]
    limits: CallLimits
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    max_tokens: int = 1024
    temperature: float | None = None
    on_token: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    schema_mode: SchemaMode | None = None
    schema_told: bool = False
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice = ToolChoice.AUTO
    top_p: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    on_delta: Callable[[Delta], None] | None = field(default=None, compare=False)
    on_counted: Callable[[Counted], None] | None = field(default=None, compare=False, repr=False)
    cache_key: str = field(default="", compare=False)
    longest: int = field(default=1_000_000, compare=False)

    @property
    def media(self) -> tuple[Media, ...]:
        """All images, recordings and documents in the messages."""
        return tuple(part for message in self.messages for part in message.parts if isinstance(part, Media))


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
    `price_table` says whose it is (`provider`, `settings`, `genai-prices 0.2.3`, `free`). `calls` are the tools that
    it wants called. `request_id` is the provider's own name of this reply, for its support; `schema_mode` is how it
    was brought to JSON, None for free text. `counted` is False when the provider did not count all of its tokens, or not
    in a way that can be true: what is missing in `usage` is 0.
    """

    text: str
    finish: FinishReason
    usage: Usage
    model: str
    tokens: Sequence[TokenProbability] = field(default=())
    cost: Money | None = None
    price_table: str = ""
    calls: tuple[ToolCall, ...] = ()
    request_id: str | None = None
    schema_mode: SchemaMode | None = None
    counted: bool = True


class ModelFailure(Exception):
    """A request failed. `kind` is its class, `retry_after` the provider's wish in seconds when it gave one.

    `usage` and `cost` are what the provider counted before it failed, priced by `price_table`; `counted` is False when it may
    come to more, which nobody read. The message is for people and holds no credential.
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
        counted: bool = True,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.usage = usage or Usage()
        self.cost = cost
        self.price_table = price_table
        self.counted = counted


class ModelProvider(Protocol):
    """A family of models behind one way of calling them (`anthropic`, `local`, ...)."""

    def check(self, model: str) -> None:
        """Raise `CredentialMissing` or `InvalidInput` when `model` cannot be called at all. No traffic."""
        ...

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Make one request, without retries; raises `ModelFailure`. Cancellable at any moment.

        Cancelling ends the request at the provider too. `request.on_delta` is called for this request only while
        this runs.
        """
        ...

    async def close(self) -> None:
        """Release clients, threads and models. Safe to call twice."""
        ...


def _unknown_price(_: Usage) -> Money | None:
    return None


def _unknown_window() -> int | None:
    return None


async def _nothing_to_load() -> None:
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One way to a model: at a provider, with a credential.

    `place` is the provider's name, with its address where that is not the vendor's own (`openai`, `openai@URL`).
    `model` is the model's own name. `credential` is the name of the environment variable that holds the key, empty
    without one. `price` returns what tokens cost, `window` how many the model takes; both None when that is not known.
    `load` loads what the provider needs before its first request, at once where it is there; it may raise anything.
    """

    provider: ModelProvider
    place: str
    model: str
    credential: str = ""
    price: Callable[[Usage], Money | None] = _unknown_price
    window: Callable[[], int | None] = _unknown_window
    load: Callable[[], Awaitable[None]] = _nothing_to_load
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
