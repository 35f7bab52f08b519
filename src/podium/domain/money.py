"""Money, exact: whole billionths of a US dollar."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

_NANOS = Decimal(1_000_000_000)
_MOST = 10**18


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in US dollars, held as whole nano-dollars, so that sums are exact; at most a billion dollars."""

    nanos: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "nanos", min(max(self.nanos, -_MOST), _MOST))

    @classmethod
    def usd(cls, amount: Decimal | str) -> Money:
        """Return `amount` dollars, rounded to the nearest billionth."""
        return cls(int((Decimal(amount) * _NANOS).to_integral_value()))

    def __add__(self, other: Money) -> Money:
        return Money(self.nanos + other.nanos)

    def __str__(self) -> str:
        dollars = Decimal(self.nanos) / _NANOS
        return f"${dollars:.2f}" if abs(dollars) >= 1 or not self.nanos else f"${dollars:.6f}".rstrip("0")


def shown_cost(cost: Money, *, priced: bool) -> str:
    """Return a cost for people; not `priced`: there is more to it, at a price that nobody knows."""
    if priced:
        return str(cost)
    return f"{cost} + unpriced" if cost.nanos else "unpriced"
