"""What a model's tokens cost, before they are bought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from podium.domain.answers import Usage
    from podium.domain.money import Money


class Prices(Protocol):
    """A list of prices by the names under which models are asked for."""

    def price(self, model: str, usage: Usage, *, batched: bool = False) -> Money | None:
        """Return what `usage` of `provider:model` costs, or None when no price is known.

        `batched`: as part of a vendor's batch, at the price that the vendor has for that.
        """
        ...
