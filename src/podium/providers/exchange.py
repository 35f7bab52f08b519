"""One request to a hosted model through Pydantic AI: streamed, under deadlines, collected into one reply."""

from __future__ import annotations

import asyncio
import gc
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from weakref import WeakSet

import httpx2
from pydantic_ai import direct
from pydantic_ai import messages as ai
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings

from podium.domain.answers import FailureKind, Usage
from podium.ports.models import (
    FinishReason,
    Message,
    ModelFailure,
    ModelReply,
    ModelRequest,
    Role,
    TokenProbability,
)
from podium.providers import failures, http
from podium.providers.prices import Charge, Prices, Tokens, reported
from podium.providers.vendors import Access


class Feature(StrEnum):
    """What a request may ask for and a server may be unable to give."""

    LOGPROBS = "logprobs"
    SCHEMA = "schema"


# How services word the refusal of each.
_REFUSALS: Mapping[Feature, tuple[str, ...]] = {
    Feature.LOGPROBS: ("logprobs", "log probabilities"),
    Feature.SCHEMA: ("response_format", "json_schema", "output_config", "output_format", "schema"),
}

_FINISHES: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}

_TURNS_TO_FINISH = 20

_ONLY_JSON = "Answer with one JSON value and nothing else. It must satisfy this JSON schema:"


class Connection(Protocol):
    """A vendor's client, and what is special about that vendor."""

    access: Access
    client: httpx2.AsyncClient

    def model(self, name: str) -> Model[Any]:
        """Return Pydantic AI's model of this name."""
        ...

    def features(self, model: Model[Any]) -> frozenset[Feature]:
        """Return what `model` can give, as far as is known before asking."""
        ...

    def settings(self, model: Model[Any], request: ModelRequest, asked: frozenset[Feature]) -> ModelSettings:
        """Return the settings of one request that asks for `asked`."""
        ...

    def tokens(self, details: Mapping[str, Any]) -> tuple[TokenProbability, ...]:
        """Read the probabilities out of a response's details."""
        ...


@dataclass(slots=True)
class _Progress:
    """What a request has come to, for the account of a failure."""

    line: http.Line
    pause: asyncio.Timeout | None = None
    stream: StreamedResponse | None = None
    spoke: bool = False

    @property
    def fell_silent(self) -> bool:
        """Whether the deadline of the first token or of a pause ended it."""
        return self.pause is not None and self.pause.expired()


class Exchange:
    """Makes requests over one connection.

    Remembers what each model refused to give: a request that a server refuses because of log-probabilities or
    of a schema in its own format is sent once more without, since nothing was generated for it.
    """

    def __init__(self, connection: Connection, prices: Prices) -> None:
        self._connection = connection
        self._prices = prices
        self._models: dict[str, Model[Any]] = {}
        self._refused: dict[str, frozenset[Feature]] = {}
        self._broken = WeakSet[httpx2.Response]()

    async def complete(self, name: str, request: ModelRequest) -> ModelReply:
        """Ask the model called `name`; raises `ModelFailure`."""
        outcome: ModelReply | ModelFailure
        try:
            async with asyncio.timeout(request.limits.total):
                outcome = await self._negotiate(name, request)
        except TimeoutError:
            # It is the deadline of the whole: every other error has become an outcome.
            waited = f"had not finished within {request.limits.total:g} s"
            outcome = ModelFailure(FailureKind.TIMEOUT, f"{self._subject(name)} {waited}")
        # Raised here, so that no vendor's exception, which may hold the key, hangs on to it as its context.
        if isinstance(outcome, ModelFailure):
            raise outcome.with_traceback(None)
        return outcome

    async def close(self) -> None:
        """Close the client and its connections."""
        await self._connection.client.aclose()
        # Broken streams leave generators behind, which finish in tasks of their own, one inside the other, and
        # complain when the event loop closes before that. Some are held by circles of references.
        await _turns()
        if self._broken:
            gc.collect()
            await _turns()

    async def _negotiate(self, name: str, request: ModelRequest) -> ModelReply | ModelFailure:
        while True:
            progress = _Progress(http.Line(request.limits.connect))
            asked: frozenset[Feature] = frozenset()
            try:
                model = self._model(name)
                asked = self._features(name, model, request)
                return await self._stream(model, request, asked, progress)
            except Exception as error:  # noqa: BLE001 - whatever happens is classified here
                failure = self._failure(error, name, request, progress)
                _let_go(error)
            self._broken.update(progress.line.responses)
            await progress.line.drop()
            refused = _refused_feature(failure, asked)
            if refused is None:
                return failure
            self._refused[name] = self._refused.get(name, frozenset()) | {refused}

    async def _stream(
        self, model: Model[Any], request: ModelRequest, asked: frozenset[Feature], progress: _Progress
    ) -> ModelReply:
        limits = request.limits
        loop = asyncio.get_running_loop()
        http.current.set(progress.line)
        native = Feature.SCHEMA in asked
        async with (
            asyncio.timeout(limits.first_token) as progress.pause,
            direct.model_request_stream(
                model,
                _messages(request, explained=not native),
                model_settings=self._connection.settings(model, request, asked),
                model_request_parameters=_parameters(request, native=native),
                instrument=False,
            ) as stream,
        ):
            progress.stream = stream
            async for event in stream:
                if isinstance(event, ai.PartStartEvent | ai.PartDeltaEvent):
                    if not progress.spoke and request.on_token is not None:
                        request.on_token()
                    progress.spoke = True
                    progress.pause.reschedule(loop.time() + limits.stall)
            return self._reply(stream.get(), model.model_name)

    def _features(self, name: str, model: Model[Any], request: ModelRequest) -> frozenset[Feature]:
        given = self._connection.features(model) - self._refused.get(name, frozenset())
        # Vendors take only objects as the outermost value; any other schema is explained in words.
        takes_schema = request.schema is not None and request.schema.get("type") == "object"
        return given if takes_schema else given - {Feature.SCHEMA}

    def _failure(
        self, error: Exception, name: str, request: ModelRequest, progress: _Progress
    ) -> ModelFailure:
        counted = progress.stream.usage if progress.stream else None
        usage = Usage(counted.input_tokens, counted.output_tokens) if counted else Usage()
        charge = self._charge(name, name, usage, {})
        cost, table = (charge.cost, charge.table) if charge else (None, "")
        subject = self._subject(name)
        if progress.fell_silent:
            limits = request.limits
            waited = (
                f"fell silent for {limits.stall:g} s in mid-reply"
                if progress.spoke
                else f"sent no token within {limits.first_token:g} s"
            )
            return ModelFailure(
                FailureKind.STALL, f"{subject} {waited}", usage=usage, cost=cost, price_table=table
            )
        secrets = (self._connection.access.key or "",)
        return failures.classify(error, subject, secrets=secrets, usage=usage, cost=cost, price_table=table)

    def _reply(self, response: ai.ModelResponse, asked: str) -> ModelReply:
        details = response.provider_details or {}
        text = "".join(part.content for part in response.parts if isinstance(part, ai.TextPart))
        thought = any(isinstance(part, ai.ThinkingPart) for part in response.parts)
        name = response.model_name or ""
        usage = Usage(response.usage.input_tokens, response.usage.output_tokens)
        charge = self._charge(name, asked, response.usage, details)
        return ModelReply(
            text=text or str(details.get("refusal", "")),
            finish=self._finish(response, details, usage, charge),
            usage=usage,
            model=name,
            # Probabilities of thoughts would be taken for those of the answer.
            tokens=() if thought else self._connection.tokens(details),
            cost=charge.cost if charge else None,
            price_table=charge.table if charge else "",
        )

    def _finish(
        self, response: ai.ModelResponse, details: Mapping[str, Any], usage: Usage, charge: Charge | None
    ) -> FinishReason:
        said = details.get("finish_reason")
        if said == "refusal" or "refusal" in details:
            return FinishReason.REFUSAL
        if "block_reason" in details:
            return FinishReason.CONTENT_FILTER
        if said is None:
            # A body that ends properly in mid-reply looks whole to HTTP; only the missing reason betrays it.
            raise ModelFailure(
                FailureKind.RESET,
                f"{self._subject(response.model_name or '')} ended its reply without saying that it was done",
                usage=usage,
                cost=charge.cost if charge else None,
                price_table=charge.table if charge else "",
            )
        return _FINISHES.get(response.finish_reason or "", FinishReason.OTHER)

    def _charge(self, name: str, asked: str, usage: Any, details: Mapping[str, Any]) -> Charge | None:
        access = self._connection.access
        told = reported(details.get("cost"))
        if told is not None:
            return told
        if not usage.input_tokens and not usage.output_tokens:
            return None
        return self._prices.charge(
            access.vendor.name,
            name,
            Tokens(
                Usage(usage.input_tokens, usage.output_tokens),
                getattr(usage, "cache_read_tokens", 0),
                getattr(usage, "cache_write_tokens", 0),
            ),
            base_url=access.base_url if access.foreign else None,
            asked=asked,
        )

    def _model(self, name: str) -> Model[Any]:
        if name not in self._models:
            self._models[name] = self._connection.model(name)
        return self._models[name]

    def _subject(self, name: str) -> str:
        access = self._connection.access
        return f"{access.vendor.name}:{name}" + (f" at {access.base_url}" if access.foreign else "")


async def _turns() -> None:
    for _ in range(_TURNS_TO_FINISH):
        await asyncio.sleep(0)


def _let_go(error: BaseException) -> None:
    """Drop the tracebacks of `error` and of what led to it.

    Their frames hold half-read streams, which would otherwise keep their connections until the garbage
    collector comes by.
    """
    chain: list[BaseException] = [error]
    for link in chain:
        link.__traceback__ = None
        chain += [one for one in (link.__cause__, link.__context__) if one is not None and one not in chain]


def _refused_feature(failure: ModelFailure, asked: frozenset[Feature]) -> Feature | None:
    if failure.kind is not FailureKind.BAD_REQUEST:
        return None
    said = str(failure).lower()
    return next(
        (
            feature
            for feature in Feature
            if feature in asked and any(word in said for word in _REFUSALS[feature])
        ),
        None,
    )


def _parameters(request: ModelRequest, *, native: bool) -> ModelRequestParameters:
    if request.schema is None or not native:
        return ModelRequestParameters()
    name = re.sub(r"[^A-Za-z0-9_-]", "_", request.schema_name)[:64]
    wanted = OutputObjectDefinition(json_schema=dict(request.schema), name=name)
    return ModelRequestParameters(output_mode="native", output_object=wanted)


def _messages(request: ModelRequest, *, explained: bool) -> list[ai.ModelMessage]:
    said = list(request.messages)
    if explained and request.schema is not None:
        schema = json.dumps(request.schema, ensure_ascii=False, separators=(",", ":"))
        first = next((i for i, message in enumerate(said) if message.role is not Role.SYSTEM), len(said))
        said.insert(first, Message(Role.SYSTEM, f"{_ONLY_JSON}\n{schema}"))
    return _grouped(said)


def _grouped(said: Sequence[Message]) -> list[ai.ModelMessage]:
    """Return Pydantic AI's messages: everything between two turns of the assistant is one request there."""
    grouped: list[ai.ModelMessage] = []
    parts: list[ai.ModelRequestPart] = []
    for message in said:
        match message.role:
            case Role.SYSTEM:
                parts.append(ai.SystemPromptPart(message.text))
            case Role.USER:
                parts.append(ai.UserPromptPart(message.text))
            case Role.ASSISTANT:
                if parts:
                    grouped.append(ai.ModelRequest(parts))
                grouped.append(ai.ModelResponse([ai.TextPart(message.text)]))
                parts = []
    if parts:
        grouped.append(ai.ModelRequest(parts))
    return grouped
