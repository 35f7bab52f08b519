"""Settings of what model calls cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from podium.domain.checks import Checks, is_whole, shown
from podium.domain.errors import InvalidInput

_MOST = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What a model costs, in US dollars per million tokens, exact: `ModelPrice("0.25", "2")`.

    `cached_input` is the price of input read from the provider's prompt cache, by default that of any input. Raises
    `InvalidInput` for what is no amount from 0 to a million.
    """

    input: Decimal | str | int
    output: Decimal | str | int
    cached_input: Decimal | str | int | None = None

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            object.__setattr__(self, name, _amount(name, getattr(self, name)))
        cached = self.input if self.cached_input is None else self.cached_input
        object.__setattr__(self, "cached_input", _amount("cached_input", cached))


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """Prices of one's own, which go before the price table: contracts, fine-tuned models, own servers.

    `models`: by the model's name as prompts give it, such as `openai:gpt-5-mini` or `openai:MODEL@http://HOST/v1`.
    A slash at the end of the address makes no difference; what is no `provider:model` raises `InvalidInput`. A cost that the provider reports with its reply goes before both.
    """

    models: Mapping[str, ModelPrice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.mapping_of("models", ModelPrice)
        found: dict[str, ModelPrice] = {}
        for given, price in self.models.items():
            (name,) = checks.models_of("models", [given])
            if "@http://" in name or "@https://" in name:
                # As the names of models are read: a slash at the end of an address says nothing.
                name = name.rstrip("/")
            if name in found:
                raise checks.wrong("models", given, "a model that is not named already")
            found[name] = price
        object.__setattr__(self, "models", found)


def _amount(name: str, value: object) -> Decimal:
    try:
        # A float is refused by its type: 0.1 would not be a tenth.
        amount = Decimal(value) if isinstance(value, Decimal | str) or is_whole(value) else Decimal("nan")
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or not 0 <= amount <= _MOST:
        raise InvalidInput(
            f"price setting {name}={shown(value)} must be US dollars per million tokens, written as text: '0.25'"
        )
    return amount
