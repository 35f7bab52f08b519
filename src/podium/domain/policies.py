"""What a prompt, a workflow or an installation asks of model calls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from podium.domain.errors import InvalidDefinition

Outage = Literal["fail", "stale", "reschedule"]
"""What follows when no model can answer: `fail` raises, `stale` takes an earlier answer, `reschedule` tries later."""

_OUTAGES = ("fail", "stale", "reschedule")


@dataclass(frozen=True, slots=True)
class Fallback:
    """The value that a prompt has when no model can answer."""

    value: Any


@dataclass(frozen=True, slots=True)
class PromptPolicy:
    """What is asked of model calls; None (or nothing) leaves it to whoever decides less specially.

    A prompt's policy stands over its workflow's, that over the installation's settings. `models`: candidates in order,
    `provider:model`. `timeout`: seconds for the whole call. `retries`: requests made again after transient failures,
    over all candidates. `reasks`: how often each model is shown its latest mistake. `max_tokens` of one request's
    output, doubled once when it is too short. `fallback_on_refusal`: when a model refuses or a vendor's filter steps
    in, the next candidate may be asked. `hedge`: when the first token is unusually late, a second model or credential
    may be asked at the same time, which costs more. `on_outage`: what follows when no model can answer.
    """

    models: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int | None = None
    reasks: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    fallback_on_refusal: bool = False
    hedge: bool | None = None
    on_outage: Outage | Fallback | None = None

    def over(self, other: PromptPolicy) -> PromptPolicy:
        """Return this policy with what it leaves open taken from `other`."""
        chosen: dict[str, Any] = {}
        for each in fields(self):
            own = getattr(self, each.name)
            chosen[each.name] = getattr(other, each.name) if own == each.default else own
        return PromptPolicy(**chosen)

    def identity(self) -> Mapping[str, Any]:
        """Return what a prompt's version depends on. Whether and how outages are bridged is no part of it."""
        # In this order, and no others: versions of prompts are stored.
        names = (
            "models",
            "timeout",
            "retries",
            "reasks",
            "max_tokens",
            "temperature",
            "fallback_on_refusal",
        )
        return {name: getattr(self, name) for name in names}

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
        outage = self.on_outage
        if outage is not None and not isinstance(outage, Fallback) and outage not in _OUTAGES:
            raise InvalidDefinition(
                f"{where}: on_outage={outage!r} is not known: take one of {', '.join(_OUTAGES)}, or Fallback(value)"
            )
