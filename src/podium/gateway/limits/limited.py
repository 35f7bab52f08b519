"""The limits of one scope: a provider, a credential or a tenant."""

from __future__ import annotations

from dataclasses import dataclass

from podium.gateway.limits.places import Places
from podium.gateway.limits.rate import Rate
from podium.gateway.limits.turns import Turns, Waiter
from podium.settings.resilience import Limits

FULL = 1.0
"""After how many seconds to look again at what ends at no known time: other requests on their way."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What is missing for a request: from `until` it may be there. `turns` is the queue for it.

    Where the time `is_known`, it will be there then for whoever is first.
    """

    until: float
    message: str
    turns: Turns
    is_known: bool = False


class Limited:
    """What is left of the limits of `scope` (`provider openai`, `tenant acme`). Times of one clock, in seconds."""

    __slots__ = ("places", "requests", "scope", "tokens", "turns")

    def __init__(self, scope: str, limits: Limits) -> None:
        self.scope = scope
        self.requests = None if limits.requests is None else Rate(limits.requests)
        self.tokens = None if limits.tokens is None else Rate(limits.tokens)
        self.places = None if limits.concurrency is None else Places(limits.concurrency)
        self.turns = Turns()

    def shortage(self, tokens: int, now: float, waiter: Waiter | None = None) -> Shortage | None:
        """Return what is missing for a request of `tokens` now, or None.

        What is there goes first to those who wait for it already; `waiter` is the one who asks, if it is among them.
        """
        ahead = self.turns.ahead_of(waiter)
        if self.places is not None and self.places.full:
            said = f"{self.scope} has {self.places.number} requests on their way, as many as it may"
            return Shortage(now + FULL, said, self.turns)
        for rate, amount, unit in ((self.requests, 1 + ahead, "requests"), (self.tokens, tokens, "tokens")):
            if rate is not None:
                until = rate.ready_at(amount, now)
                if until > now:
                    said = f"{self.scope} may use {rate.per_minute} {unit} a minute"
                    return Shortage(until, said, self.turns, is_known=True)
        if ahead:
            return Shortage(now + FULL, f"{ahead} others wait for {self.scope}", self.turns)
        return None

    def take(self, tokens: int, now: float) -> None:
        """Take a request of `tokens`."""
        if self.places is not None:
            self.places.take()
        if self.requests is not None:
            self.requests.take(1, now)
        if self.tokens is not None:
            self.tokens.take(tokens, now)

    def settle(self, reserved: int, used: int, now: float) -> None:
        """End a request for which `reserved` tokens were taken and that used `used`."""
        if self.places is not None:
            self.places.give_back()
        if self.tokens is not None:
            self.tokens.take(used - reserved, now)
        self.turns.call()

    def headroom(self, now: float) -> float:
        """Return the share that is left of the scarcest of the limits, from 0 to 1."""
        shares = [1.0]
        if self.places is not None:
            shares.append(1 - self.places.taken / self.places.number)
        shares += [
            rate.left(now) / rate.per_minute for rate in (self.requests, self.tokens) if rate is not None
        ]
        return max(min(shares), 0.0)
