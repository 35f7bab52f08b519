"""Settings of recorded model calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from podium.domain.checks import Checks


class ReplayMode(StrEnum):
    """What `replay:` does about a request that nobody recorded."""

    ONLY = "replay-only"
    """Fail, and say what was recorded that comes nearest."""

    RECORD_MISSING = "record-missing"
    """Ask the real model, which the name after `replay:` must then be, and record its reply."""


@dataclass(frozen=True, slots=True)
class CassetteSettings:
    """Where `record:` writes and `replay:` reads, and what a miss leads to.

    `folder`: None stands for `PODIUM_CASSETTES` in the environment, and without that for `cassettes` in the working
    directory. `mode`: None stands for `PODIUM_CASSETTES_MODE` in the environment, and without that for `replay-only`.
    """

    folder: Path | str | None = None
    mode: ReplayMode | None = None

    def __post_init__(self) -> None:
        checks = Checks(self)
        checks.kind("folder", str, Path)
        checks.member("mode", ReplayMode)
