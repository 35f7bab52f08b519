"""How a process's gateway stands with its providers, as it is stored for others to look at."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.states import BreakerState
from podium.domain.values import TypedCodec


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """A provider's model with one credential (the name of an environment variable, empty without one).

    `opens_at`, in seconds since the epoch, is when a breaker that is open lets a probe through, or when a provider
    that asked to be left alone may be asked again; `reason` says why. `failures` is the share of the last
    seconds' requests that failed, 0 to 1; `latency` and `first_token` are medians in seconds, 0 without any.
    """

    provider: str
    model: str
    credential: str
    breaker: BreakerState
    opens_at: float | None
    reason: str
    failures: float
    on_the_way: int
    requests: int
    latency: float
    first_token: float


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """The retry budget of a provider's model: what is `left` of `capacity`, and the last minute's traffic."""

    provider: str
    model: str
    left: int
    capacity: int
    requests: int
    retries: int


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """The limits of one scope (`provider openai`, `tenant acme`) and what is left of each; None where there is none."""

    scope: str
    requests: int | None
    requests_left: float | None
    tokens: int | None
    tokens_left: float | None
    concurrency: int | None
    on_the_way: int | None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """A process's gateway at a moment, `at` in seconds since the epoch."""

    at: float
    pid: int
    lanes: tuple[LaneStatus, ...] = ()
    budgets: tuple[BudgetStatus, ...] = ()
    limits: tuple[LimitStatus, ...] = ()


_codec = TypedCodec(GatewayStatus, "the gateway's status")


def encode_status(status: GatewayStatus) -> bytes:
    """Return a status as UTF-8 JSON."""
    return _codec.encode(status)


def decode_status(data: bytes) -> GatewayStatus:
    """Return the status that `encode_status` stored."""
    status: GatewayStatus = _codec.decode(data)
    return status
