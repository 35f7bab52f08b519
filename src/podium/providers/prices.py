"""What a request costs: as the provider reports it, by prices of one's own, or by the table of `genai-prices`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib.metadata import version
from typing import TYPE_CHECKING

from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.settings.prices import ModelPrice, PriceSettings

if TYPE_CHECKING:
    import genai_prices

REPORTED = "provider"
"""The price table's name where the provider itself reported the cost."""

OWN = "settings"
"""The price table's name where the installation's own prices counted."""

_MILLION = Decimal(1_000_000)
_MOST_KEPT = 1000
# The most that is believed when a server says what a request cost: the dearest models take less for a token.
_PER_REQUEST = Decimal(10)
_PER_TOKEN = Decimal("0.002")


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request costs. `table` names where the price comes from: `genai-prices 0.2.3`, `settings`, `provider`."""

    cost: Money
    table: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a request: of those of `usage.input_tokens`, how many the prompt cache gave and took.

    `batched`: it was part of a batch, which costs less.
    """

    usage: Usage
    cache_read: int = 0
    cache_write: int = 0
    batched: bool = False


@dataclass(frozen=True, slots=True)
class _Rates:
    """US dollars per million tokens of each kind, where the price is the same for each token."""

    fresh: Decimal
    cache_read: Decimal
    cache_write: Decimal
    output: Decimal

    def of(self, tokens: Tokens) -> Money:
        read = min(max(tokens.cache_read, 0), tokens.usage.input_tokens)
        written = min(max(tokens.cache_write, 0), tokens.usage.input_tokens - read)
        fresh = tokens.usage.input_tokens - read - written
        dollars = (
            fresh * self.fresh
            + read * self.cache_read
            + written * self.cache_write
            + tokens.usage.output_tokens * self.output
        )
        return Money.usd(dollars / _MILLION)


_Place = tuple[str, str, str | None]


class Prices:
    """Prices requests. The table comes with the installed `genai-prices` and is never fetched.

    The table takes some 50 µs to work out one price; what a token costs is therefore kept per model, where the
    table has one price for all of them at all times.
    """

    def __init__(self, settings: PriceSettings | None = None) -> None:
        own = settings.models if settings is not None else {}
        self._own = {name: _own_rates(price) for name, price in own.items()}
        self._kept: dict[_Place, _Rates | None] = {}
        self._table = ""

    def charge(
        self,
        provider: str,
        model: str,
        tokens: Tokens,
        *,
        base_url: str | None = None,
        asked: str | None = None,
    ) -> Charge | None:
        """Return what `tokens` cost, or None when nobody knows a price.

        `provider` is the vendor (`anthropic`), `model` the model that answered and `asked` the one that was asked
        for, where they differ. `base_url` is given when the model was called at a server that is not the vendor's,
        and then only that server's prices count.
        """
        for name in _names(provider, (asked, model), base_url):
            if name in self._own:
                return Charge(self._own[name].of(tokens), OWN)
        cost = self._listed((provider, model, base_url), tokens)
        return None if cost is None else Charge(cost, self.table)

    def cost_of(
        self, provider: str, model: str, usage: Usage, *, base_url: str | None = None
    ) -> Money | None:
        """Return what `usage` costs at this model, or None when nobody knows a price; see `charge`."""
        charge = self.charge(provider, model, Tokens(usage), base_url=base_url)
        return None if charge is None else charge.cost

    @property
    def table(self) -> str:
        """The name and version of the price table; its prices change only with the package's version."""
        if not self._table:
            self._table = f"genai-prices {version('genai-prices')}"
        return self._table

    def load(self) -> None:
        """Load the price table, which takes a quarter of a second, so that no request has to wait for it."""
        self.charge("openai", "gpt-5", Tokens(Usage(1, 1)))

    def _listed(self, place: _Place, tokens: Tokens) -> Money | None:
        if tokens.batched:
            return _calculated(place, tokens)
        if place not in self._kept:
            # One look-up tells whether there is a price at all, and in the same go whether it is the same for all.
            rates = _flat_rates(place)
            if rates is None and _calculated(place, Tokens(Usage())) is None:
                return None
            if len(self._kept) >= _MOST_KEPT:
                # Names of models come from servers too, which may make up any number of them.
                self._kept.clear()
            self._kept[place] = rates
        rates = self._kept[place]
        return _calculated(place, tokens) if rates is None else rates.of(tokens)


def reported(cost: object, tokens: int = 0) -> Charge | None:
    """Return the cost that a server reported with its reply, in US dollars, or None when that is no amount.

    What is many times the dearest price of so many `tokens` is none either.
    """
    if isinstance(cost, bool) or not isinstance(cost, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(cost))
    except InvalidOperation:
        return None
    sane = amount.is_finite() and 0 <= amount <= _PER_REQUEST + _PER_TOKEN * tokens
    return Charge(Money.usd(amount), REPORTED) if sane else None


def _names(provider: str, models: Iterable[str | None], base_url: str | None) -> list[str]:
    plain = [f"{provider}:{model}" for model in models if model]
    return [*(f"{name}@{base_url}" for name in plain if base_url), *plain]


def _own_rates(price: ModelPrice) -> _Rates:
    fresh, output, cached = Decimal(price.input), Decimal(price.output), Decimal(price.cached_input or 0)
    return _Rates(fresh, cached, fresh, output)


def _flat_rates(place: _Place) -> _Rates | None:
    """Return the rates of a model whose tokens always cost the same; None where they do not, or none are known."""
    from genai_prices import Usage as Counted
    from genai_prices import data_snapshot, types

    provider, model, base_url = place
    try:
        _, info = data_snapshot.get_snapshot().find_provider_model(
            model, None, None if base_url else provider, base_url
        )
        prices = info.prices
        if not isinstance(prices, types.ModelPrice):
            return None
        if any(isinstance(each, types.TieredPrices) for each in vars(prices).values()):
            return None

        def dollars(counted: genai_prices.Usage) -> Decimal:
            return prices.calc_price(counted)["total_price"]

        if dollars(Counted(input_tokens=0, output_tokens=0)):
            return None
        million = 1_000_000
        return _Rates(
            fresh=dollars(Counted(input_tokens=million, output_tokens=0)),
            cache_read=dollars(Counted(input_tokens=million, cache_read_tokens=million, output_tokens=0)),
            cache_write=dollars(Counted(input_tokens=million, cache_write_tokens=million, output_tokens=0)),
            output=dollars(Counted(input_tokens=0, output_tokens=million)),
        )
    except (LookupError, ValueError):
        return None


def _calculated(place: _Place, tokens: Tokens) -> Money | None:
    # Importing this starts no download: only an `UpdatePrices` that somebody starts would.
    import genai_prices

    provider, model, base_url = place
    counted = genai_prices.Usage(
        input_tokens=tokens.usage.input_tokens,
        output_tokens=tokens.usage.output_tokens,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
    )
    context = {"processing": "batch"} if tokens.batched else None
    try:
        if base_url is None:
            found = genai_prices.calc_price(counted, model, provider_id=provider, price_context=context)
        else:
            found = genai_prices.calc_price(counted, model, provider_api_url=base_url, price_context=context)
    except (LookupError, ValueError):
        return None
    return Money.usd(found.total_price)
