"""Google's generateContent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from google.genai.client import Client
from google.genai.types import HttpOptions
from pydantic_ai.models import Model
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.settings import ModelSettings

from podium.ports.models import ModelRequest, TokenProbability
from podium.providers import profiles
from podium.providers.http import new_client
from podium.providers.profiles import Feature
from podium.providers.translation import settings_of
from podium.providers.vendors import Access


def connect(access: Access) -> GoogleConnection:
    """Make the client for `access`. Nothing is sent yet."""
    client = new_client()
    options = HttpOptions(base_url=access.base_url, httpx_async_client=client)
    return GoogleConnection(
        access, client, Client(vertexai=False, api_key=access.secret, http_options=options)
    )


@dataclass(frozen=True, slots=True)
class GoogleConnection:
    """A client of generateContent. The library retries nothing unless it is told to."""

    access: Access
    client: httpx2.AsyncClient
    sdk: Client

    def model(self, name: str, claims: ModelProfile) -> Model[Any]:
        """Return the model of this name."""
        return GoogleModel(name, provider=GoogleProvider(client=self.sdk), profile=claims)

    def batch_model(self, name: str) -> Model[Any]:
        """Return the model for batches: the same."""
        return self.model(name, ModelProfile())

    def features(self, model: Model[Any]) -> frozenset[Feature]:
        """Schemas, on the models that take them; a stream of this API has no probabilities."""
        return profiles.known(model.profile)

    def settings(self, model: Model[Any], request: ModelRequest, asked: frozenset[Feature]) -> ModelSettings:
        """Return the settings of one request."""
        del model, asked
        return settings_of(request)

    def marks_opening(self, request: ModelRequest) -> bool:
        """Never: the service finds by itself what begins alike."""
        del request
        return False

    def tokens(self, details: Mapping[str, Any]) -> tuple[TokenProbability, ...]:
        """None: only replies in one piece have probabilities, and only on Google Cloud."""
        del details
        return ()
