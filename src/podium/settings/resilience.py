"""Settings of how the gateway copes with failures: breakers, the retry budget, limits, hedging."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.errors import InvalidInput


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
        _positive(self, "in_a_row", "failures", "volume", "window", "base", "cap", "successes", "caution")


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
        _positive(self, "capacity", "transient", "throttled", "floor")
        _share(self, "share")


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be asked of a provider, with a credential, or by a tenant. None is no limit.

    `requests` and `tokens` (of input and output) are per minute, `concurrency` is requests on their way at once.
    """

    requests: int | None = None
    tokens: int | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        _positive(self, "requests", "tokens", "concurrency")


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
        _positive(self, "samples", "least", "window")
        _share(self, "quantile", "share")


def _positive(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value > 0:
            raise InvalidInput(f"{type(settings).__name__}: {name}={value!r} must be greater than 0")


def _share(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not 0 <= value <= 1:
            raise InvalidInput(f"{type(settings).__name__}: {name}={value!r} must be a share from 0 to 1")
