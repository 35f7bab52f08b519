"""The verdict that every value carries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`clean`: as asked. `degraded`: usable, obtained with help. `suspect`: do not rely on it unseen."""

    CLEAN = "clean"
    DEGRADED = "degraded"
    SUSPECT = "suspect"


_ORDER = (Verdict.CLEAN, Verdict.DEGRADED, Verdict.SUSPECT)


@dataclass(frozen=True, slots=True)
class Quality:
    """A verdict and the reasons for it, in the order in which they were found."""

    verdict: Verdict = Verdict.CLEAN
    reasons: tuple[str, ...] = ()

    def worsened(self, verdict: Verdict, reason: str) -> Quality:
        """Return this quality with `reason` added and the worse of both verdicts."""
        worse = max(self.verdict, verdict, key=_ORDER.index)
        return Quality(worse, (*self.reasons, reason))
