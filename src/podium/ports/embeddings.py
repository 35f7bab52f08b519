"""Texts as vectors whose closeness says how alike they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Near:
    """One of several vectors, by its `index` among them, and its `similarity`: the cosine, from -1 to 1."""

    index: int
    similarity: float


class Embeddings(Protocol):
    """Makes vectors of texts and compares them. A vector is bytes of a form that only its maker knows."""

    @property
    def name(self) -> str:
        """The model with its version and the vectors' form: vectors of two names are never compared."""
        ...

    def check(self) -> None:
        """Raise `InvalidInput`, with what to install, when texts cannot be embedded here."""
        ...

    async def embed(self, text: str) -> bytes | None:
        """Return the vector of a text, None when there is nothing in it to embed; raises what `check` does."""
        ...

    def nearest(self, vector: bytes, others: Sequence[bytes], least: float) -> list[Near]:
        """Return those of `others` that are at least so similar, the most similar first."""
        ...
