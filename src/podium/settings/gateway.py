"""Settings of the model gateway."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Defaults for every model call; a prompt may override what its own arguments name. Times in seconds.

    `models`: candidates of a prompt that names none. `override`: when set, used instead of every prompt's
    own candidates. `timeout`: the deadline of a whole call with its retries, re-asks and fallbacks.
    `retries`: repeats after transient failures, over all candidates of a call. `reasks`: times that a model
    is shown its latest mistake and asked again. `retry_base`, `retry_cap`: bounds of the backoff between retries.
    `connect`, `first_token`, `stall`: deadlines inside one request. `max_tokens`: output of one request, doubled
    once when it is too short. `max_reply_bytes`: longest reply that is looked into.
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
