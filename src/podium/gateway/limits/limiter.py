"""Which limits a request falls under."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from podium.gateway.limits.limited import Limited
from podium.gateway.limits.turns import Waiter
from podium.settings.gateway import GatewaySettings
from podium.settings.resilience import Limits

EVERY = "*"
"""The name in the settings for each one that has no limits of its own."""


class Limiter:
    """The limits of all providers, credentials and tenants of a process."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._kinds: tuple[tuple[str, Mapping[str, Limits]], ...] = (
            ("provider", settings.provider_limits),
            ("credential", settings.credential_limits),
            ("tenant", settings.tenant_limits),
        )
        self._any = any(limits for _, limits in self._kinds)
        self._known: dict[tuple[str, str], Limited | None] = {}
        self._arrivals = itertools.count()

    def arrive(self) -> Waiter:
        """Return who waits behind all who wait now."""
        return Waiter(next(self._arrivals))

    def of(self, provider: str, credential: str, tenant: str) -> tuple[Limited, ...]:
        """Return the limits of a request, at most three."""
        if not self._any:
            return ()
        found = (
            self._find(kind, name, limits)
            for (kind, limits), name in zip(self._kinds, (provider, credential, tenant), strict=True)
        )
        return tuple(limited for limited in found if limited is not None)

    def all(self) -> list[Limited]:
        """Return the limits that requests have fallen under so far."""
        return [limited for limited in self._known.values() if limited is not None]

    def _find(self, kind: str, name: str, limits: Mapping[str, Limits]) -> Limited | None:
        key = (kind, name)
        if key not in self._known:
            own = limits.get(name) or limits.get(EVERY)
            self._known[key] = None if own is None else Limited(f"{kind} {name}", own)
        return self._known[key]
