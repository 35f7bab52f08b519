"""What one attempt came to, as a value: `Done | Retry | Failed | Suspended`."""

from __future__ import annotations

from dataclasses import dataclass

from podium.domain.errors import ErrorRecord


@dataclass(frozen=True, slots=True)
class Done:
    """The attempt succeeded; `payload` is the encoded value."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and another follows after `after` seconds."""

    error: ErrorRecord
    after: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed for good."""

    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class Suspended:
    """The work cannot go on before `until` (seconds since the epoch); nothing counts as failed."""

    error: ErrorRecord
    until: float


Outcome = Done | Retry | Failed | Suspended
