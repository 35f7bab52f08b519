"""What a request to a model has come to so far: for settling its key's limits, and for the log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from podium.domain.answers import Usage
from podium.domain.keys import ApiKey
from podium.domain.money import Money
from podium.domain.requests import Lane, ServedRequest
from podium.domain.runs import DEFAULT_TENANT
from podium.server.http import Exchange

_LONGEST_NAME = 200


@dataclass(slots=True)
class Account:
    """One request's account. `usage` and `cost` None: not known, though something may have been used."""

    route: str
    key: ApiKey | None = None
    model: str = ""
    lane: Lane = Lane.NONE
    usage: Usage | None = field(default_factory=Usage)
    cost: Money | None = None
    first_token: float | None = None
    error: str | None = None

    @property
    def tenant(self) -> str:
        """On whose behalf the request is made: the tenant of its key."""
        return DEFAULT_TENANT if self.key is None else self.key.tenant

    def row(self, exchange: Exchange) -> ServedRequest:
        """Return the row of the log."""
        elapsed = exchange.elapsed
        return ServedRequest(
            id=exchange.id,
            at=time.time() - elapsed,
            route=self.route,
            key=None if self.key is None else self.key.name,
            model=self.model[:_LONGEST_NAME],
            lane=self.lane,
            status=exchange.status,
            usage=self.usage or Usage(),
            cost=self.cost,
            latency=elapsed,
            first_token=self.first_token,
            error=self.error,
            tenant=self.tenant,
        )
