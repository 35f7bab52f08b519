"""What one model call may use: candidates, time, tries. The prompt's own wishes over the gateway's settings."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from podium.domain.policies import Fallback, Outage, PromptPolicy
from podium.domain.retries import RetryPolicy
from podium.domain.schema_modes import SchemaMode
from podium.ports.models import CallLimits
from podium.settings.gateway import GatewaySettings

__all__ = ["CallPolicy", "PromptPolicy"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What one call goes by. Times in seconds.

    `models`: the candidates in order. `timeout`: the deadline of the whole call, with everything that is tried
    again in it. `backoff`: how often, over all candidates, a request is made again after a transient failure,
    and how soon. `reasks`: how often each model is shown its latest mistake. `max_tokens`: output of the first
    request. `limits`: deadlines inside one request. `longest`: bytes of a reply that are looked into. `hedge`: whether
    a late request may be raced by a second. `on_outage`: what follows when no model can answer.
    `outlasts_breakers`: whether the call waits while the breaker of every candidate is open.
    `schema_modes`: how models are brought to JSON, by patterns for their names, the first that fits.
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
    hedge: bool = False
    on_outage: Outage | Fallback = "fail"
    schema_modes: tuple[tuple[str, SchemaMode], ...] = ()
    outlasts_breakers: bool = True

    @classmethod
    def merged(
        cls, settings: GatewaySettings, own: PromptPolicy, workflow: PromptPolicy | None = None
    ) -> CallPolicy:
        """Return the settings with the workflow's policy over them and the prompt's `own` over both.

        `settings.override` beats everybody's models.
        """
        if workflow is not None:
            own = own.over(workflow)
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
            hedge=_either(own.hedge, settings.hedge),
            on_outage=_either(own.on_outage, settings.on_outage),
            schema_modes=settings.schema_modes,
        )

    def schema_mode(self, model: str) -> SchemaMode | None:
        """Return how `model` is to be brought to JSON; None leaves it to what is known of the model."""
        return next((mode for pattern, mode in self.schema_modes if fnmatchcase(model, pattern)), None)

    def within(self, seconds: float) -> CallLimits:
        """Return the deadlines of a request that has `seconds` left."""
        return CallLimits(seconds, self.limits.connect, self.limits.first_token, self.limits.stall)


def _either(own: T | None, default: T) -> T:
    return default if own is None else own
