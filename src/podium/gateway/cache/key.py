"""What makes two calls the same call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pydantic_core

from podium.domain.ids import digest
from podium.ports.cache import CacheKey

if TYPE_CHECKING:
    from podium.gateway.policy import CallPolicy
    from podium.gateway.prompt import Prompt
    from podium.ports.models import Message


def cache_key(prompt: Prompt[Any], policy: CallPolicy, messages: Sequence[Message], tenant: str) -> CacheKey:
    """Return the key of a call: its candidates, what they are told, the form asked for, and how they are sampled.

    The prompt's version covers template, system text, schema and the prompt's own policy.
    """
    said = {
        "prompt": prompt.reference,
        "models": policy.models,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "schema": prompt.output.schema,
        "max_tokens": policy.max_tokens,
        "temperature": policy.temperature,
    }
    return CacheKey(tenant, digest(tenant, pydantic_core.to_json(said, bytes_mode="base64")))
