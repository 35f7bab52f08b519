"""What a prompt, a workflow or an installation asks of model calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from podium.domain.checks import Checks
from podium.domain.errors import InvalidDefinition

Outage = Literal["fail", "stale", "reschedule"]
"""What follows when no model can answer: `fail` raises, `stale` takes an earlier answer, `reschedule` tries later."""

OUTAGES: tuple[str, ...] = get_args(Outage)
"""The words that say what follows when no model can answer."""


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
    may be asked at the same time, which costs more. `on_outage`: what follows when no model can answer. Raises
    `InvalidDefinition` for what could never work.
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

    def __post_init__(self) -> None:
        # Whose policy it is, the line that makes it says.
        checks = Checks(self, InvalidDefinition, where="")
        checks.models("models")
        checks.time("timeout", above=True)
        checks.count("retries", "reasks")
        checks.count("max_tokens", least=1)
        checks.number("temperature")
        checks.flag("fallback_on_refusal", "hedge")
        checks.choice("on_outage", OUTAGES, Fallback)

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
