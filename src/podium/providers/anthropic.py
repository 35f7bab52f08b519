"""Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from anthropic import AsyncAnthropic
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.settings import ModelSettings

from podium.ports.models import ModelRequest, TokenProbability
from podium.providers import profiles
from podium.providers.http import new_client
from podium.providers.marks import Marks
from podium.providers.profiles import Feature
from podium.providers.translation import settings_of
from podium.providers.vendors import Access


def connect(access: Access) -> AnthropicConnection:
    """Make the client for `access`. Nothing is sent yet."""
    client = new_client()
    sdk = AsyncAnthropic(
        api_key=access.secret, base_url=access.base_url, http_client=client, max_retries=0, timeout=None
    )
    return AnthropicConnection(access, client, sdk)


@dataclass(frozen=True, slots=True)
class AnthropicConnection:
    """A client of messages."""

    access: Access
    client: httpx2.AsyncClient
    sdk: AsyncAnthropic

    def model(self, name: str, claims: ModelProfile) -> Model[Any]:
        """Return the model of this name."""
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=self.sdk), profile=claims)

    def batch_model(self, name: str) -> Model[Any]:
        """Return the model for batches: the same."""
        return self.model(name, ModelProfile())

    def features(self, model: Model[Any]) -> frozenset[Feature]:
        """Schemas, on the models that take them; this API gives no probabilities."""
        return profiles.known(model.profile)

    def settings(self, model: Model[Any], request: ModelRequest, asked: frozenset[Feature]) -> ModelSettings:
        """Return the settings of one request."""
        del asked
        profile: Mapping[str, Any] = model.profile
        common = settings_of(request, samples=not profile.get("anthropic_disallows_sampling_settings"))
        settings = cast("AnthropicModelSettings", common)
        marks = Marks.of(request)
        if marks.tools:
            settings["anthropic_cache_tool_definitions"] = True
        if marks.system:
            settings["anthropic_cache_instructions"] = True
        return settings

    def marks_opening(self, request: ModelRequest) -> bool:
        """Where it is worth it."""
        return Marks.of(request).opening

    def tokens(self, details: Mapping[str, Any]) -> tuple[TokenProbability, ...]:
        """None: this API has no probabilities."""
        del details
        return ()
