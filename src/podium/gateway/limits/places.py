"""So many at once."""

from __future__ import annotations


class Places:
    """Places for requests on their way; `taken` of `number`."""

    __slots__ = ("number", "taken")

    def __init__(self, number: int) -> None:
        self.number = number
        self.taken = 0

    @property
    def full(self) -> bool:
        """Whether no place is free."""
        return self.taken >= self.number

    def take(self) -> None:
        """Take a place."""
        self.taken += 1

    def give_back(self) -> None:
        """Give a place back."""
        self.taken -= 1
