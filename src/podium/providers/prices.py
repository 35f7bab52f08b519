"""What a request costs, by the price table that comes with `genai-prices`. The table is never fetched."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from podium.domain.answers import Usage
from podium.domain.money import Money


def price(
    provider: str,
    model: str,
    usage: Usage,
    *,
    base_url: str | None = None,
    cache_read: int = 0,
    cache_write: int = 0,
    batched: bool = False,
) -> Money | None:
    """Return the price of `usage` in US dollars, or None when the table does not know the model.

    `provider` is the vendor (`anthropic`); `base_url` is given instead when the model was called at a server
    that is not the vendor's, and then only that server's prices count. `cache_read` and `cache_write` say how
    many of the input tokens were read from and written to the vendor's prompt cache. `batched`: it was part of a
    batch, which costs less.
    """
    # Importing this starts no download: only an `UpdatePrices` that somebody starts would.
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
    )
    context = {"processing": "batch"} if batched else None
    try:
        if base_url is None:
            found = genai_prices.calc_price(counted, model, provider_id=provider, price_context=context)
        else:
            found = genai_prices.calc_price(counted, model, provider_api_url=base_url, price_context=context)
    except (LookupError, ValueError):
        return None
    return Money.usd(found.total_price)


def reported(cost: object) -> Money | None:
    """Return the cost that a server reported with its reply, in US dollars, or None when that is no amount."""
    if isinstance(cost, bool) or not isinstance(cost, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(cost))
    except InvalidOperation:
        return None
    return Money.usd(amount) if amount.is_finite() and 0 <= amount < 1_000_000 else None


def load() -> None:
    """Load the price table, which takes a quarter of a second, so that no request has to wait for it."""
    price("openai", "gpt-5", Usage())
