"""OpenAI's chat completions, and every server that speaks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from openai import AsyncOpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic_ai.models import Model
from pydantic_ai.models.openai import (
    OpenAIChatModel,
    OpenAIChatModelSettings,
    OpenAIResponsesModel,
    OpenAIStreamedResponse,
)
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from podium.ports.models import ModelRequest, TokenProbability
from podium.providers import profiles
from podium.providers.http import new_client
from podium.providers.profiles import Feature
from podium.providers.translation import settings_of
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

    def model(self, name: str, claims: ModelProfile) -> Model[Any]:
        """Return the chat model of this name."""
        if not self.access.foreign:
            return _ChatModel(name, provider=OpenAIProvider(openai_client=self.sdk), profile=claims)
        provider = OpenAICompatibleProvider("openai-compatible", openai_client=self.sdk)
        profile = OpenAICompatibleProvider.model_profile(name) or {}
        reasons = bool(profile.get("openai_supports_reasoning"))
        elsewhere = cast("ModelProfile", {**_ELSEWHERE, **claims})
        return _ChatModel(name, provider=provider, profile=claims if reasons else elsewhere)

    def batch_model(self, name: str) -> Model[Any]:
        """Return the model for batches, which the library makes of responses; a server that has none refuses them."""
        return OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=self.sdk))

    def features(self, model: Model[Any]) -> frozenset[Feature]:
        """Probabilities unless the model reasons, schemas where the model is known to take them."""
        logprobs = {Feature.LOGPROBS} if _samples(model) else set[Feature]()
        return profiles.known(model.profile) | logprobs

    def settings(
        self, model: Model[Any], request: ModelRequest, asked: frozenset[Feature]
    ) -> OpenAIChatModelSettings:
        """Return the settings of one request."""
        settings = cast("OpenAIChatModelSettings", settings_of(request, samples=_samples(model)))
        if Feature.LOGPROBS in asked:
            settings["openai_logprobs"] = True
        if request.cache_key and not self.access.foreign:
            # Requests of one key go to the machine that keeps their beginning. Other servers may not know the field.
            settings["openai_prompt_cache_key"] = request.cache_key
        return settings

    def marks_opening(self, request: ModelRequest) -> bool:
        """Never: the service finds by itself what begins alike."""
        del request
        return False

    def tokens(self, details: Mapping[str, Any]) -> tuple[TokenProbability, ...]:
        """Read the probabilities, which come with each piece of the stream and are joined by Pydantic AI."""
        return tuple(
            TokenProbability(each["token"], each["logprob"]) for each in details.get("logprobs") or ()
        )


class _Streamed(OpenAIStreamedResponse):
    """Keeps the cost that some servers report with the usage."""

    def _map_chunk_provider_details(self, chunk: ChatCompletionChunk) -> dict[str, Any] | None:
        return _cost(chunk.usage)


class _ChatModel(OpenAIChatModel):
    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return _Streamed

    def _process_provider_details(self, response: ChatCompletion) -> dict[str, Any] | None:
        details = (super()._process_provider_details(response) or {}) | (_cost(response.usage) or {})
        return details or None


def _cost(usage: CompletionUsage | None) -> dict[str, Any] | None:
    cost = (usage.model_extra or {}).get("cost") if usage else None
    return None if cost is None else {"cost": cost}


def _samples(model: Model[Any]) -> bool:
    """Return whether the model takes a temperature and gives probabilities: those that reason do neither."""
    profile: Mapping[str, Any] = model.profile
    if not profile.get("openai_supports_reasoning"):
        return True
    can_rest = profile.get("openai_supports_reasoning_effort_none")
    return bool(can_rest) and not profile.get("thinking_enabled_by_default")
