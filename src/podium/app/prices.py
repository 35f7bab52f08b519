"""What a request costs by the name of its model."""

from __future__ import annotations

from collections.abc import Callable

from podium.domain.answers import Usage
from podium.domain.errors import PodiumError
from podium.domain.money import Money
from podium.ports.models import ModelProviders
from podium.providers import names, prices

Price = Callable[[str, Usage], Money | None]
"""Returns what a usage of the model of this full name costs, None when no price is known."""


def priced_by(providers: ModelProviders) -> Price:
    """Return the prices of `providers`: what a model in this process does costs nothing."""

    def price(name: str, usage: Usage) -> Money | None:
        try:
            if names.parse(name).provider not in names.VENDORS:
                return Money()
            return providers.routes(name)[0].price(usage)
        except PodiumError:
            return None

    return price


def reported_cost(told: object) -> Money | None:
    """Return the cost that a server reported with its reply, in US dollars, or None when that is no amount."""
    charge = prices.reported(told)
    return None if charge is None else charge.cost
