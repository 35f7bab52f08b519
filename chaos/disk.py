"""A disk that fails when it is told to, for the files of one folder, and that remembers what is durable."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from chaos.shadow import Change, Shadow, left_of


class Fault(StrEnum):
    """What happens to a disk. All but the last three are told to SQLite as an error."""

    READ_FAILS = "a read fails"
    WRITE_FAILS = "a write fails"
    WRITE_IS_TORN = "a write is torn, then the disk is dead"
    DISK_FULL = "the disk is full from a write on"
    SYNC_FAILS = "fsync fails"
    SHARED_MEMORY_FAILS = "shared memory fails"
    POWER_FAILS_AT_WRITE = "power fails within a write"
    POWER_FAILS_BEFORE_SYNC = "power fails before an fsync"
    POWER_FAILS_AFTER_SYNC = "power fails after an fsync"


class Call(StrEnum):
    """What SQLite does to a file that counts for faults."""

    READ = "read"
    WRITE = "write"
    SYNC = "sync"
    SHARE = "share"


STRIKES_AT: Final = {
    Fault.READ_FAILS: Call.READ,
    Fault.WRITE_FAILS: Call.WRITE,
    Fault.WRITE_IS_TORN: Call.WRITE,
    Fault.DISK_FULL: Call.WRITE,
    Fault.SYNC_FAILS: Call.SYNC,
    Fault.SHARED_MEMORY_FAILS: Call.SHARE,
    Fault.POWER_FAILS_AT_WRITE: Call.WRITE,
    Fault.POWER_FAILS_BEFORE_SYNC: Call.SYNC,
    Fault.POWER_FAILS_AFTER_SYNC: Call.SYNC,
}
"""The calls that each fault counts."""

_OF_POWER: Final = {
    Fault.POWER_FAILS_AT_WRITE,
    Fault.POWER_FAILS_BEFORE_SYNC,
    Fault.POWER_FAILS_AFTER_SYNC,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A fault, and at which of the calls that it counts it strikes; 1 is the next. With `file`, only calls for it count."""

    fault: Fault
    at: int
    file: str | None = None


class Disk:
    """The files of one folder. Used from any thread; `dice` decide what a failure leaves."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = folder
        self.dice = dice
        self.lock = threading.RLock()
        self.shadows = {path: Shadow(exists=True) for path in folder.resolve().iterdir()}
        self.struck: Plan | None = None
        self.is_dead = False
        self.is_full = False
        self.written_after_failed_sync = 0
        self._failed_sync: Path | None = None
        self._plan: Plan | None = None
        self._left = 0

    @property
    def lost_power(self) -> bool:
        """Whether the fault that struck was a failure of the power."""
        return self.struck is not None and self.struck.fault in _OF_POWER

    def plan(self, plan: Plan | None) -> None:
        """Let a fault strike; None for none."""
        with self.lock:
            self._plan, self._left = plan, plan.at if plan else 0

    def cut(self) -> None:
        """Cut the power now: nothing reaches the disk any more."""
        self.is_dead = True

    def strikes(self, call: Call, path: Path) -> Fault | None:
        """Count a call for a file; return the fault that strikes at it."""
        plan = self._plan
        if plan is None or STRIKES_AT[plan.fault] is not call or plan.file not in {None, path.name}:
            return None
        self._left -= 1
        if self._left > 0:
            return None
        self.struck, self._plan = plan, None
        return plan.fault

    def noted_write(self, path: Path, change: Change) -> None:
        """Remember a change that is in the file but not durable."""
        self.shadows.setdefault(path, Shadow()).changes.append(change)
        self.written_after_failed_sync += path == self._failed_sync and change.after is not None

    def noted_sync(self, path: Path, *, failed: bool) -> None:
        """Remember a sync and how it ended."""
        shadow = self.shadows.setdefault(path, Shadow())
        if failed:
            # A checkpoint syncs the log once more, of which everything is durable: that may fail without harm.
            if shadow.changes and path.name.endswith("-wal"):
                self._failed_sync = path
            shadow.dropped(self.dice)
            return
        shadow.synced()
        for other in self.shadows.values():
            # A sync carries the names in the folder with it.
            other.exists = True

    def noted_delete(self, path: Path) -> None:
        """Forget a file that was deleted."""
        self.shadows.pop(path, None)

    def image(self, target: Path, *, power_failed: bool) -> None:
        """Copy the files to `target`: as a killed process leaves them, or as a power failure does.

        To be called when no connection has them open: to open them here would drop SQLite's locks.
        """
        target.mkdir()
        for path in sorted(self.folder.iterdir()):
            if path.suffix == ".lock" or path.name.endswith("-shm") or not path.is_file():
                continue
            shadow = self.shadows.get(path.resolve(), Shadow(exists=True))
            if power_failed and not shadow.exists and self.dice.random() < 0.5:
                continue
            content = path.read_bytes()
            if power_failed:
                content = left_of(content, shadow.changes, self.dice)
            (target / path.name).write_bytes(content)
