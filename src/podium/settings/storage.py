"""Settings of the database."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.checks import Checks


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """How the database is used.

    `synchronous`: SQLite's setting; FULL survives power loss, NORMAL only the death of the process.
    `busy_timeout`: seconds to wait for another process's short write.
    `blob_threshold`: values longer than this many bytes are kept in pieces beside the journal, each piece once;
    what is noted of a model request, already from 2 KiB on.
    `max_batch`: the most commits that one transaction takes together.
    """

    synchronous: str = "FULL"
    busy_timeout: float = 10.0
    blob_threshold: int = 16 * 1024
    max_batch: int = 2000

    def __post_init__(self) -> None:
        checks = Checks(self)
        if isinstance(self.synchronous, str):
            object.__setattr__(self, "synchronous", self.synchronous.upper())
        checks.choice("synchronous", ("OFF", "NORMAL", "FULL", "EXTRA"))
        checks.time("busy_timeout")
        checks.count("blob_threshold")
        checks.count("max_batch", least=1)
