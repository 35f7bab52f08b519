"""Looking ahead: whether the models that a file's prompts name can be called at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from podium.domain.errors import CredentialMissing, InvalidInput, RecordingUnusable
from podium.gateway.prompt import Prompt
from podium.providers.embeddings import StaticEmbeddings
from podium.providers.registry import Providers
from podium.settings import Settings


def check_models(prompts: Iterable[Prompt[Any]], settings: Settings, environment: Mapping[str, str]) -> None:
    """Raise `CredentialMissing` or `InvalidInput` when a prompt has no model that can be called. No traffic.

    Models that override the prompts' own must all be callable; of a prompt's own candidates one is enough, but each
    that is replayed or recorded.
    """
    prompts = list(prompts)
    providers = Providers(
        environment,
        credentials=settings.gateway.credentials,
        cassettes=settings.cassettes,
        prices=settings.prices,
    )
    if any(prompt.semantic is not None for prompt in prompts):
        StaticEmbeddings().check()
    for name in settings.gateway.override:
        _check(providers, name)
    if settings.gateway.override:
        return
    for prompt in prompts:
        problems: list[CredentialMissing | InvalidInput] = []
        candidates = prompt.policy.models or settings.gateway.models
        for name in candidates:
            try:
                _check(providers, name)
            except RecordingUnusable:
                raise
            except (CredentialMissing, InvalidInput) as error:
                problems.append(error)
        if candidates and len(problems) == len(candidates):
            raise problems[0]


def _check(providers: Providers, name: str) -> None:
    provider, model = providers.find(name)
    provider.check(model)
