"""The price list of all models that Podium knows how to call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from podium.domain.answers import Usage
from podium.domain.errors import PodiumError
from podium.domain.money import Money
from podium.providers import names
from podium.providers.prices import Prices, Tokens
from podium.providers.vendors import VENDORS, Access

_MOST: Final = 10_000
_FREE: Final = frozenset({names.LOCAL, names.SCRIPTED, names.REPLAY})


class PriceList:
    """Prices by the names under which models are asked for. Models on this machine cost nothing, nor do scripts and
    recordings.

    `environment` says where vendors' models are reached: elsewhere, the vendor's own prices do not count. `prices`
    knows what tokens cost.
    """

    def __init__(self, environment: Mapping[str, str], prices: Prices) -> None:
        self._environment = environment
        self._prices = prices
        self._known: dict[tuple[str, int, int, bool], Money | None] = {}

    def price(self, model: str, usage: Usage, *, batched: bool = False) -> Money | None:
        """See `Prices.price`."""
        # Asked of the table for a round number of tokens, which is seldom another one: each question takes 50 µs.
        key = (model, _rounded(usage.input_tokens), _rounded(usage.output_tokens), batched)
        if key not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = self._find(model, Tokens(Usage(key[1], key[2]), batched=batched))
        return self._known[key]

    def _find(self, model: str, tokens: Tokens) -> Money | None:
        try:
            parsed = names.parse(model)
            if parsed.provider == names.RECORD:
                return self._find(parsed.model, tokens)
            if parsed.provider in _FREE:
                return Money()
            if parsed.provider not in VENDORS:
                return None
            access = Access.find(VENDORS[parsed.provider], self._environment, parsed.base_url)
        except PodiumError:
            return None
        charge = self._prices.charge(
            access.vendor.name, parsed.model, tokens, base_url=access.base_url if access.foreign else None
        )
        return None if charge is None else charge.cost


def _rounded(tokens: int) -> int:
    """Return the number, rounded up by at most a sixteenth."""
    step = 1 << max(tokens.bit_length() - 5, 0)
    return -(-tokens // step) * step
