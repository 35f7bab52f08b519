"""What of a file would be left if the power failed now: its writes since the last sync are remembered."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SECTOR = 512
"""Bytes that a disk writes whole or not at all; a write of more may be torn between them."""


@dataclass(slots=True)
class Change:
    """A change of a file that no sync has made durable: `after` at `offset`, or a cut to `offset` when None.

    `before` are the bytes that it replaced or cut off, `size` the file's length before it.
    """

    offset: int
    before: bytes
    after: bytes | None
    size: int
    fate: Fate | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """Which sectors of a change reach the disk, decided once. Nothing does when there are none."""

    sectors: frozenset[int]


@dataclass(slots=True)
class Shadow:
    """The changes of one file since it was durable as a whole."""

    changes: list[Change] = field(default_factory=list)
    exists: bool = False
    """Whether its name in the folder is durable too."""

    def synced(self) -> None:
        """A sync succeeded: all is durable, apart from what an earlier failed sync has dropped for good."""
        self.exists = True
        if all(change.fate is None for change in self.changes):
            self.changes.clear()
        for change in self.changes:
            change.fate = change.fate or _whole(change)

    def dropped(self, dice: random.Random) -> None:
        """A sync failed: the system forgets what it had still to write, whatever it has written of it so far."""
        for change in self.changes:
            change.fate = change.fate or _some(change, dice)


def left_of(content: bytes, changes: list[Change], dice: random.Random) -> bytes:
    """Return what a disk without power may hold of a file: all, nothing, a beginning or any part of the changes."""
    image = bytearray(content)
    for change in reversed(changes):
        _undo(image, change)
    manner = dice.choice(("nothing", "all", "beginning", "any"))
    last = dice.randrange(len(changes) + 1) if changes else 0
    for number, change in enumerate(changes):
        if change.fate is not None:
            fate = change.fate
        elif manner == "all" or (manner == "beginning" and number < last):
            fate = _whole(change)
        elif manner == "any" or (manner == "beginning" and number == last):
            fate = _some(change, dice)
        else:
            fate = Fate(frozenset())
        _redo(image, change, fate)
    return bytes(image)


def _sectors(change: Change) -> range:
    length = len(change.after or b"x")
    return range(change.offset // SECTOR, (change.offset + length - 1) // SECTOR + 1)


def _whole(change: Change) -> Fate:
    return Fate(frozenset(_sectors(change)))


def _some(change: Change, dice: random.Random) -> Fate:
    return Fate(frozenset(sector for sector in _sectors(change) if dice.random() < 0.5))


def _undo(image: bytearray, change: Change) -> None:
    image[change.offset : change.offset + len(change.before)] = change.before
    del image[change.size :]


def _redo(image: bytearray, change: Change, fate: Fate) -> None:
    if change.after is None:
        if fate.sectors:
            del image[change.offset :]
        return
    end = change.offset + len(change.after)
    for sector in sorted(fate.sectors):
        start, stop = max(sector * SECTOR, change.offset), min((sector + 1) * SECTOR, end)
        if len(image) < stop:
            image.extend(bytes(stop - len(image)))
        image[start:stop] = change.after[start - change.offset : stop - change.offset]
