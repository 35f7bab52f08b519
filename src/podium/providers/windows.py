"""How many tokens a model takes, by the table that comes with `genai-prices`."""

from __future__ import annotations


def context_window(provider: str, model: str, base_url: str | None = None) -> int | None:
    """Return how many tokens of input and output a vendor's model takes, or None when the table does not say.

    `base_url` is given instead of the vendor when the model is at a server that is not the vendor's.
    """
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(
            model, None, None if base_url else provider, provider_api_url=base_url
        )
    except (LookupError, ValueError):
        return None
    return found.context_window
