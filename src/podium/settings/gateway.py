"""Settings of the model gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from podium.domain.budgets import Budget, Unpriced
from podium.domain.checks import LARGEST, Checks, is_whole
from podium.domain.policies import OUTAGES, Fallback, Outage
from podium.domain.schema_modes import SchemaMode
from podium.settings.resilience import BreakerSettings, HedgeSettings, Limits, RetryBudgetSettings


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Defaults for every model call; a prompt may override what its own arguments name. Times in seconds, or as
    text such as `"90s"`. What could never work raises `InvalidInput`.

    `models`: candidates of a prompt that names none. `override`: when set, used instead of every prompt's
    own candidates. `timeout`: the deadline of a whole call with its retries, re-asks and fallbacks.
    `retries`: repeats after transient failures, over all candidates of a call. `reasks`: times that a model
    is shown its latest mistake and asked again. `retry_base`, `retry_cap`: bounds of the backoff between retries.
    `connect`, `first_token`, `stall`: deadlines inside one request. `max_tokens`: output of one request, doubled
    once when it is too short. `max_reply_bytes`: longest reply that is looked into.

    `credentials`: for a provider (`openai`, or `openai@URL` for another server) the names, never the values, of the
    environment variables with its keys. `provider_limits`, `credential_limits`, `tenant_limits`: limits by the name of
    a provider, environment variable or tenant; `*` stands for each that is not named. `breaker`, `retry_budget`:
    how failures of a service are kept from spreading. `hedge`, `hedging`: whether, and when, a late request is raced
    by a second. `on_outage`: what follows when no model can answer. `context_windows`: tokens that a model
    (`provider:model`) takes, where the price table does not say so.
    `schema_modes`: pairs of a shell pattern for `provider:model` and how such models are brought to answer with JSON,
    where that is to differ from what is known of them; the first that fits counts.
    `budgets`: what may be spent. `unpriced`: whether budgets of money refuse a model whose price nobody knows, or let it
    pass unseen. `cache`: how long a clean answer is given again to whoever asks the same, for prompts that
    do not say; None for never. `cache_stale`: how long after that it is kept for the case that no model can be reached.
    `cache_bytes`: what all answers together may take on disk; the oldest go first. `cache_questions`: how many of the latest questions
    of a prompt with `semantic=` a new one is compared with, for each tenant and each value of its other variables.
    """

    models: tuple[str, ...] = ("local:smollm2",)
    override: tuple[str, ...] = ()
    timeout: float = 60.0
    retries: int = 2
    reasks: int = 1
    retry_base: float = 0.5
    retry_cap: float = 8.0
    connect: float = 5.0
    first_token: float = 20.0
    stall: float = 30.0
    max_tokens: int = 1024
    max_reply_bytes: int = 1_000_000
    credentials: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provider_limits: Mapping[str, Limits] = field(default_factory=dict)
    credential_limits: Mapping[str, Limits] = field(default_factory=dict)
    tenant_limits: Mapping[str, Limits] = field(default_factory=dict)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    retry_budget: RetryBudgetSettings = field(default_factory=RetryBudgetSettings)
    hedge: bool = False
    hedging: HedgeSettings = field(default_factory=HedgeSettings)
    on_outage: Outage | Fallback = "fail"
    context_windows: Mapping[str, int] = field(default_factory=dict)
    schema_modes: tuple[tuple[str, SchemaMode], ...] = ()
    budgets: tuple[Budget, ...] = ()
    unpriced: Unpriced = "refuse"
    cache: float | None = None
    cache_stale: float = 604_800.0
    cache_bytes: int = 100_000_000
    cache_questions: int = 2_000

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.models("models", "override")
        checks.time("timeout", "connect", "first_token", "stall", above=True)
        checks.time("retry_base", "retry_cap", "cache", "cache_stale")
        checks.count("retries", "reasks", "cache_bytes")
        checks.count("max_tokens", "max_reply_bytes", "cache_questions", least=1)
        checks.mapping(
            "credentials", "a mapping of providers to names of environment variables", checks.texts_of
        )
        for name in ("provider_limits", "credential_limits", "tenant_limits"):
            checks.mapping_of(name, Limits)
        checks.kind("breaker", BreakerSettings)
        checks.kind("retry_budget", RetryBudgetSettings)
        checks.kind("hedging", HedgeSettings)
        checks.flag("hedge")
        checks.choice("on_outage", OUTAGES, Fallback)
        checks.choice("unpriced", get_args(Unpriced))
        checks.budgets("budgets")

        def window(name: str, value: object) -> int:
            if not is_whole(value) or not 0 < value <= LARGEST:
                raise checks.wrong(name, value, "a whole number of tokens, at least 1")
            return value

        def modes(value: object) -> tuple[str, SchemaMode]:
            pair = value if isinstance(value, tuple | list) else ()
            if len(pair) != 2 or not isinstance(pair[0], str):
                raise checks.wrong("schema_modes", value, "pairs such as ('openai:*', SchemaMode.TOOL)")
            return pair[0], checks.member_of("schema_modes", pair[1], SchemaMode)

        checks.mapping("context_windows", "a mapping of models to tokens", window)
        given = checks.items_of("schema_modes", self.schema_modes, "a list of pairs")
        object.__setattr__(self, "schema_modes", tuple(map(modes, given)))
