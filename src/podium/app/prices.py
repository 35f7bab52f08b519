"""What a request costs by the name of its model."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from podium.domain.answers import Usage
from podium.domain.errors import InvalidInput
from podium.domain.money import Money
from podium.providers import names, prices

Price = Callable[[str, Usage], Money | None]
"""Returns what a usage of the model of this full name costs, None when no price is known."""


@lru_cache(maxsize=4096)
def price_of(name: str, usage: Usage) -> Money | None:
    """See `Price`: by the price table; a model in this process costs nothing."""
    try:
        parsed = names.parse(name)
    except InvalidInput:
        return None
    if parsed.provider not in names.VENDORS:
        return Money()
    return prices.price(parsed.provider, parsed.model, usage, base_url=parsed.base_url)


def reported_cost(told: object) -> Money | None:
    """Return the cost that a server reported with its reply, in US dollars, or None when that is no amount."""
    return prices.reported(told)
