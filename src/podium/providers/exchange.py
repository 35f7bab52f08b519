"""One request to a hosted model through Pydantic AI: under deadlines, in pieces where they matter, as one reply."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakSet

import httpx2
from pydantic_ai import direct
from pydantic_ai import messages as ai
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from podium.domain.answers import FailureKind, Usage
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import (
    Counted,
    FinishReason,
    ModelFailure,
    ModelReply,
    ModelRequest,
    TokenProbability,
    ToolCall,
)
from podium.providers import counts, failures, http, profiles, translation
from podium.providers.bounds import Bounds
from podium.providers.deltas import Deltas
from podium.providers.leftovers import let_go, turns
from podium.providers.plans import Plan, refused_feature
from podium.providers.prices import Charge, Prices, Tokens, reported
from podium.providers.profiles import Feature
from podium.providers.vendors import Access

_FINISHES: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "tool_call": FinishReason.TOOL_CALLS,
}


class Connection(Protocol):
    """A vendor's client, and what is special about that vendor."""

    access: Access
    client: httpx2.AsyncClient

    def model(self, name: str, claims: ModelProfile) -> Model[Any]:
        """Return Pydantic AI's model of this name, its profile corrected by `claims`."""
        ...

    def batch_model(self, name: str) -> Model[Any]:
        """Return Pydantic AI's model for batches."""
        ...

    def features(self, model: Model[Any]) -> frozenset[Feature]:
        """Return what `model` can give, as far as is known before asking."""
        ...

    def settings(self, model: Model[Any], request: ModelRequest, asked: frozenset[Feature]) -> ModelSettings:
        """Return the settings of one request that asks for `asked`."""
        ...

    def marks_opening(self, request: ModelRequest) -> bool:
        """Return whether to mark the stable beginning of the first message for the service's cache."""
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
        self.connection = connection
        self._prices = prices
        self._models: dict[tuple[str, bool], Model[Any]] = {}
        self._batch_models: dict[str, Model[Any]] = {}
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

    def batch_model(self, name: str) -> Model[Any]:
        """Return the model through which batches are made."""
        if name not in self._batch_models:
            self._batch_models[name] = self.connection.batch_model(name)
        return self._batch_models[name]

    def settings(self, model: Model[Any], request: ModelRequest, plan: Plan) -> ModelSettings:
        """Return the settings of one request."""
        return self.connection.settings(model, request, plan.asked)

    def failure(self, error: Exception, name: str) -> ModelFailure:
        """Return what `error` amounts to, which arose outside a request of its own."""
        let_go(error)
        secrets = (self.connection.access.key or "",)
        return failures.classify(error, self._subject(name), secrets=secrets)

    async def close(self) -> None:
        """Close the client and its connections."""
        await self.connection.client.aclose()
        # Broken streams leave generators behind, which finish in tasks of their own, one inside the other, and
        # complain when the event loop closes before that. Some are held by circles of references.
        await turns()
        if self._broken:
            gc.collect()
            await turns()

    async def _negotiate(self, name: str, request: ModelRequest) -> ModelReply | ModelFailure:
        while True:
            progress = _Progress(http.Line(request.limits.connect, Bounds.of(request.longest)))
            plan: Plan | None = None
            try:
                model = self._model(name, native=request.schema_mode is SchemaMode.NATIVE)
                self._require_readable(name, model, request)
                plan = self.plan(name, model, request)
                http.current.set(progress.line)
                ask = self._stream if _is_watched(request) else self._whole
                return await ask(model, request, plan, progress)
            except asyncio.CancelledError:
                # Whoever asked has gone: the service is to stop writing too.
                self._tell_counted(name, request, progress)
                await progress.line.drop()
                raise
            except Exception as error:  # noqa: BLE001 - whatever happens is classified here
                failure = self._failure(error, name, request, progress)
                let_go(error)
            self._broken.update(progress.line.responses)
            await progress.line.drop()
            refused = refused_feature(failure, plan)
            if refused is None:
                return failure
            self._refused[name] = self._refused.get(name, frozenset()) | {refused}

    async def _stream(
        self, model: Model[Any], request: ModelRequest, plan: Plan, progress: _Progress
    ) -> ModelReply:
        limits = request.limits
        loop = asyncio.get_running_loop()
        answer = translation.output_name(request) if plan.mode is SchemaMode.TOOL else None
        deltas = Deltas(request.on_delta, answer) if request.on_delta else None
        async with (
            asyncio.timeout(limits.first_token) as progress.pause,
            direct.model_request_stream(
                model,
                translation.messages_of(request, plan.mode, marked=self.connection.marks_opening(request)),
                model_settings=self.settings(model, request, plan),
                model_request_parameters=translation.parameters_of(request, plan.mode),
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
                    if deltas is not None:
                        deltas.see(event)
            return self.reply(stream.get(), request, plan, model.model_name)

    async def _whole(
        self, model: Model[Any], request: ModelRequest, plan: Plan, progress: _Progress
    ) -> ModelReply:
        del progress
        response = await direct.model_request(
            model,
            translation.messages_of(request, plan.mode, marked=self.connection.marks_opening(request)),
            model_settings=self.settings(model, request, plan),
            model_request_parameters=translation.parameters_of(request, plan.mode),
            instrument=False,
        )
        return self.reply(response, request, plan, model.model_name)

    def plan(self, name: str, model: Model[Any], request: ModelRequest) -> Plan:
        """Return how `request` is made of the model called `name`."""
        given = self.connection.features(model) - self._refused.get(name, frozenset())
        logprobs = given & {Feature.LOGPROBS}
        if request.schema is None:
            return Plan(None, logprobs)
        vendor = self.connection.access.vendor.name
        unfit = profiles.unfit(vendor, request.schema, with_tools=bool(request.tools))
        able = given - unfit
        open_to = profiles.modes(vendor, name, able)
        wished = request.schema_mode
        tried = wished in open_to or _can_be_tried(wished, able)
        mode = wished if tried else open_to[0]
        return Plan(mode, logprobs | {feature for feature in Feature if feature.value == mode})

    def _require_readable(self, name: str, model: Model[Any], request: ModelRequest) -> None:
        for media in request.media:
            if not profiles.reads(model.profile, media):
                kind = type(media).__name__.lower()
                raise ModelFailure(
                    FailureKind.UNAVAILABLE, f"{self._subject(name)} does not read {kind} input"
                )

    def _failure(
        self, error: Exception, name: str, request: ModelRequest, progress: _Progress
    ) -> ModelFailure:
        counted = self._counted(name, request, progress)
        usage, cost, table = counted.usage, counted.cost, counted.price_table
        subject = self._subject(name)
        for refusal in progress.line.refusals:
            # Whatever the vendor's library made of it.
            return ModelFailure(
                FailureKind.SERVER, f"{subject} {refusal}", usage=usage, cost=cost, price_table=table
            )
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
        secrets = (self.connection.access.key or "",)
        return failures.classify(error, subject, secrets=secrets, usage=usage, cost=cost, price_table=table)

    def _counted(self, name: str, request: ModelRequest, progress: _Progress) -> Counted:
        if progress.stream is None:
            return Counted(Usage())
        usage, _ = counts.believed(progress.stream.usage, request, 0)
        charge = self._charge(name, name, usage, progress.stream.usage, {})
        cost, table = (charge.cost, charge.table) if charge else (None, "")
        return Counted(usage, cost, table)

    def _tell_counted(self, name: str, request: ModelRequest, progress: _Progress) -> None:
        if request.on_counted is not None:
            counted = self._counted(name, request, progress)
            if counted.usage.input_tokens:
                request.on_counted(counted)

    def reply(self, response: ai.ModelResponse, request: ModelRequest, plan: Plan, asked: str) -> ModelReply:
        """Return what `response` of the model `asked` says; raises `ModelFailure` when it is not whole."""
        details = response.provider_details or {}
        text = "".join(part.content for part in response.parts if isinstance(part, ai.TextPart))
        thought = any(isinstance(part, ai.ThinkingPart) for part in response.parts)
        calls = [part for part in response.parts if isinstance(part, ai.ToolCallPart)]
        if plan.mode is SchemaMode.TOOL:
            name = translation.output_name(request)
            answers = [part.args_as_json_str() for part in calls if part.tool_name == name]
            calls = [part for part in calls if part.tool_name != name]
            # A model that calls no tool may have answered in words; one that calls it twice means the first.
            text = answers[0] if answers else text
        heard = sum(
            len(str(getattr(part, "content", part)).encode(errors="replace")) for part in response.parts
        )
        usage, is_whole = counts.believed(response.usage, request, heard)
        charge = self._charge(
            response.model_name or "", asked, usage, response.usage, details, is_whole=is_whole
        )
        finish = self._finish(response, details, usage, charge)
        if finish in (FinishReason.STOP, FinishReason.TOOL_CALLS):
            finish = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        return ModelReply(
            text=text or str(details.get("refusal", "")),
            finish=finish,
            usage=usage,
            model=response.model_name or "",
            # Probabilities of thoughts would be taken for those of the answer.
            tokens=() if thought else self.connection.tokens(details),
            cost=charge.cost if charge else None,
            price_table=charge.table if charge else "",
            calls=tuple(
                ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str()) for part in calls
            ),
            request_id=response.provider_response_id,
            schema_mode=plan.mode,
            counted=is_whole,
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

    def _charge(
        self,
        name: str,
        asked: str,
        usage: Usage,
        detailed: RequestUsage,
        details: Mapping[str, Any],
        *,
        is_whole: bool = True,
    ) -> Charge | None:
        access = self.connection.access
        told = reported(details.get("cost"), usage.input_tokens + usage.output_tokens)
        if told is not None:
            return told
        if not is_whole or usage == Usage():
            return None
        return self._prices.charge(
            access.vendor.name,
            name,
            Tokens(
                usage,
                min(max(detailed.cache_read_tokens, 0), usage.input_tokens),
                min(max(detailed.cache_write_tokens, 0), usage.input_tokens),
                batched=details.get("processing") == "batch",
            ),
            base_url=access.base_url if access.foreign else None,
            asked=asked,
        )

    def _model(self, name: str, *, native: bool) -> Model[Any]:
        if (name, native) not in self._models:
            # The library goes by what it knows, and sends no schema to a model of which it does not know.
            claims = ModelProfile(supports_json_schema_output=True) if native else ModelProfile()
            self._models[name, native] = self.connection.model(name, claims)
        return self._models[name, native]

    def _subject(self, name: str) -> str:
        access = self.connection.access
        return f"{access.vendor.name}:{name}" + (f" at {access.base_url}" if access.foreign else "")


def _is_watched(request: ModelRequest) -> bool:
    """Return whether the reply has to come in pieces.

    One in a single piece costs a tenth of the work, and loses nothing when nobody watches and no deadline but
    that of the whole can end it.
    """
    limits = request.limits
    return request.on_delta is not None or min(limits.first_token, limits.stall) < limits.total


def _can_be_tried(mode: SchemaMode | None, able: frozenset[Feature]) -> bool:
    return mode is not None and mode.value in {feature.value for feature in able}
