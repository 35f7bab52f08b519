"""Deliveries: what reaches a run from outside, kept durably until the run has taken it into its journal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.domain.ids import RunId


class DeliveryKind(StrEnum):
    """What is delivered.

    `decision`, `child` and `settle` settle the operation at a key; `event` settles whichever operation waits
    for an event of its name, now or later. The others concern the whole run.
    """

    DECISION = "decision"
    CHILD = "child"
    SETTLE = "settle"
    EVENT = "event"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one run.

    `id` counts upwards in the order of arrival (0 before it is stored). `key` is the journal key that it
    settles, empty when it concerns the whole run; `name` that of an event. `payload` is UTF-8 JSON; `failed` says that it is an
    `ErrorRecord` rather than a value. `at` is when it was sent, `since` when what it settles was asked for, if
    known, both in seconds since the epoch.
    """

    run: RunId
    kind: DeliveryKind
    key: str
    payload: bytes
    at: float
    failed: bool = False
    id: int = 0
    since: float | None = None
    name: str = ""
