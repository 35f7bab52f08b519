"""OpenAI's chat completions, and every server that speaks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings, OpenAIStreamedResponse
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from podium.ports.models import ModelRequest, TokenProbability
from podium.providers.exchange import Feature
from podium.providers.http import new_client
from podium.providers.vendors import Access

# Servers of other makes know the older name of the output limit and want all instructions in one message.
_ELSEWHERE = OpenAIModelProfile(
    openai_chat_supports_max_completion_tokens=False, openai_chat_supports_multiple_system_messages=False
)


def connect(access: Access) -> OpenAIConnection:
    """Make the client for `access`. Nothing is sent yet."""
    client = new_client()
    sdk = AsyncOpenAI(
        api_key=access.secret, base_url=access.base_url, http_client=client, max_retries=0, timeout=None
    )
    if access.foreign:
        # The library takes these from the environment; they are the business of OpenAI alone.
        sdk.organization = sdk.project = None
    return OpenAIConnection(access, client, sdk)


@dataclass(frozen=True, slots=True)
class OpenAIConnection:
    """A client of chat completions."""

    access: Access
    client: httpx2.AsyncClient
    sdk: AsyncOpenAI

    def model(self, name: str) -> Model[Any]:
        """Return the chat model of this name."""
        if not self.access.foreign:
            return _ChatModel(name, provider=OpenAIProvider(openai_client=self.sdk))
        provider = OpenAICompatibleProvider("openai-compatible", openai_client=self.sdk)
        profile = OpenAICompatibleProvider.model_profile(name) or {}
        reasons = bool(profile.get("openai_supports_reasoning"))
        return _ChatModel(name, provider=provider, profile=None if reasons else _ELSEWHERE)

    def features(self, model: Model[Any]) -> frozenset[Feature]:
        """Probabilities unless the model reasons, schemas where the model is known to take them."""
        logprobs = {Feature.LOGPROBS} if _samples(model) else set()
        schema = {Feature.SCHEMA} if model.profile.get("supports_json_schema_output") else set()
        return frozenset(logprobs | schema)

    def settings(
        self, model: Model[Any], request: ModelRequest, asked: frozenset[Feature]
    ) -> OpenAIChatModelSettings:
        """Return the settings of one request."""
        settings = OpenAIChatModelSettings(max_tokens=request.max_tokens)
        if request.temperature is not None and _samples(model):
            settings["temperature"] = request.temperature
        if Feature.LOGPROBS in asked:
            settings["openai_logprobs"] = True
        return settings

    def tokens(self, details: Mapping[str, Any]) -> tuple[TokenProbability, ...]:
        """Read the probabilities, which come with each piece of the stream and are joined by Pydantic AI."""
        return tuple(
            TokenProbability(each["token"], each["logprob"]) for each in details.get("logprobs") or ()
        )


class _Streamed(OpenAIStreamedResponse):
    """Keeps the cost that some servers report with the usage."""

    def _map_chunk_provider_details(self, chunk: ChatCompletionChunk) -> dict[str, Any] | None:
        cost = (chunk.usage.model_extra or {}).get("cost") if chunk.usage else None
        return None if cost is None else {"cost": cost}


class _ChatModel(OpenAIChatModel):
    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return _Streamed


def _samples(model: Model[Any]) -> bool:
    """Return whether the model takes a temperature and gives probabilities: those that reason do neither."""
    profile: Mapping[str, Any] = model.profile
    if not profile.get("openai_supports_reasoning"):
        return True
    can_rest = profile.get("openai_supports_reasoning_effort_none")
    return bool(can_rest) and not profile.get("thinking_enabled_by_default")
