"""What one model call may use: candidates, time, tries. The prompt's own wishes over the gateway's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

from podium.domain.errors import InvalidDefinition
from podium.domain.retries import RetryPolicy
from podium.ports.models import CallLimits
from podium.settings.gateway import GatewaySettings

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class PromptPolicy:
    """What a prompt asks for itself; None leaves it to the settings. `timeout` in seconds, `max_tokens` of output.

    `fallback_on_refusal`: when a model refuses or a vendor's filter steps in, the next candidate may be asked.
    """

    models: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int | None = None
    reasks: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    fallback_on_refusal: bool = False

    def check(self, where: str) -> None:
        """Raise `InvalidDefinition`, naming `where`, when the policy could never work."""
        for model in self.models:
            provider, colon, name = model.partition(":")
            if not (provider and colon and name):
                raise InvalidDefinition(f"{where}: {model!r} names no model: write 'provider:model'")
        if len(set(self.models)) < len(self.models):
            raise InvalidDefinition(f"{where}: models= names one model twice; use retries= to ask it again")
        for option, value, least in (
            ("retries", self.retries, 0),
            ("reasks", self.reasks, 0),
            ("max_tokens", self.max_tokens, 1),
            ("temperature", self.temperature, 0),
        ):
            if value is not None and not value >= least:
                raise InvalidDefinition(f"{where}: {option}={value!r} must be at least {least}")
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise InvalidDefinition(f"{where}: timeout={self.timeout!r} must be a number of seconds above 0")


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What one call goes by. Times in seconds.

    `models`: the candidates in order. `timeout`: the deadline of the whole call, with everything that is tried
    again in it. `backoff`: how often, over all candidates, a request is made again after a transient failure,
    and how soon. `reasks`: how often each model is shown its latest mistake. `max_tokens`: output of the first
    request. `limits`: deadlines inside one request. `longest`: bytes of a reply that are looked into.
    """

    models: tuple[str, ...]
    timeout: float
    backoff: RetryPolicy
    reasks: int
    max_tokens: int
    temperature: float | None
    fallback_on_refusal: bool
    limits: CallLimits
    longest: int

    @classmethod
    def merged(cls, settings: GatewaySettings, own: PromptPolicy) -> CallPolicy:
        """Return the settings with the prompt's own policy over them; `settings.override` beats its models."""
        timeout = _either(own.timeout, settings.timeout)
        retries = _either(own.retries, settings.retries)
        return cls(
            models=settings.override or own.models or settings.models,
            timeout=timeout,
            backoff=RetryPolicy(retries=retries, base=settings.retry_base, cap=settings.retry_cap),
            reasks=_either(own.reasks, settings.reasks),
            max_tokens=_either(own.max_tokens, settings.max_tokens),
            temperature=own.temperature,
            fallback_on_refusal=own.fallback_on_refusal,
            limits=CallLimits(timeout, settings.connect, settings.first_token, settings.stall),
            longest=settings.max_reply_bytes,
        )

    def within(self, seconds: float) -> CallLimits:
        """Return the deadlines of a request that has `seconds` left."""
        return CallLimits(seconds, self.limits.connect, self.limits.first_token, self.limits.stall)


def _either(own: N | None, default: N) -> N:
    return default if own is None else own
