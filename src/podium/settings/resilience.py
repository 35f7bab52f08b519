"""Settings of how the gateway copes with failures: breakers, the retry budget, limits, hedging."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.checks import Checks


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When the breaker of a provider, model and credential opens, and when it closes again. Times in seconds.

    It opens after `in_a_row` failures with no success between them, or when of at least `volume` requests within
    `window` the share `failures` failed, or at once when quota or key are refused. It then lets nothing through for
    `base`, doubled each time it opens again and at most `cap`, and no less than the provider asked for; after that
    one probe at a time, of which `successes` close it. `caution`: retries and fallbacks that may be on their way
    at once to a model that has answered nothing within `window`.
    """

    in_a_row: int = 5
    failures: float = 0.5
    volume: int = 20
    window: float = 30.0
    base: float = 5.0
    cap: float = 120.0
    successes: int = 3
    caution: int = 10

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.count("in_a_row", "volume", "successes", "caution", least=1)
        # A share above 1 is never reached: then only failures in a row open it.
        checks.number("failures", above=True)
        checks.time("window", "base", "cap", above=True)


@dataclass(frozen=True, slots=True)
class RetryBudgetSettings:
    """How many retries a whole process makes of one provider's model.

    A retry takes `transient` from a store of `capacity`, or `throttled` when the provider had asked to slow down; one
    that succeeds gives it back, and a request that succeeds at once adds 1. Beside that, retries are at most the
    share `share` of the last minute's requests, or `floor` where that is more.
    """

    capacity: int = 500
    transient: int = 14
    throttled: int = 5
    share: float = 0.1
    floor: int = 10

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.count("capacity", "transient", "throttled", "floor", least=1)
        checks.number("share", most=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be asked of a provider, with a credential, or by a tenant. None is no limit.

    `requests` and `tokens` (of input and output) are per minute, `concurrency` is requests on their way at once.
    """

    requests: int | None = None
    tokens: int | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        Checks(self).count("requests", "tokens", "concurrency", least=1)


@dataclass(frozen=True, slots=True)
class HedgeSettings:
    """When a prompt that permits it is asked a second time of somebody else.

    That is once the first token is later than the `quantile` of the last `samples` first tokens of the same model, of
    which `least` must be known, and for at most the share `share` of the requests of `window` seconds.
    """

    quantile: float = 0.95
    samples: int = 200
    least: int = 20
    share: float = 0.02
    window: float = 600.0

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.count("samples", "least", least=1)
        checks.time("window", above=True)
        checks.number("quantile", "share", most=1)
