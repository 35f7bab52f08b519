"""What a person found out about a step whose outcome was unknown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from podium.domain.values import TypedCodec


class SettlementKind(StrEnum):
    """`done`: it took effect, with a result. `failed`: it failed for good. `again`: it did not begin; do it now."""

    DONE = "done"
    FAILED = "failed"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The payload of a `settle` delivery: the result as JSON text for `done`, a message for the others."""

    kind: SettlementKind
    text: str


_codec = TypedCodec(Settlement, "a settlement")


def encode_settlement(settlement: Settlement) -> bytes:
    """Return a settlement as UTF-8 JSON."""
    return _codec.encode(settlement)


def decode_settlement(data: bytes) -> Settlement:
    """Return the settlement that `encode_settlement` stored."""
    settlement: Settlement = _codec.decode(data)
    return settlement
