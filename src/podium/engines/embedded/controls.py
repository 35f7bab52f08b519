"""What is to be done with a run that is not in memory, given its state and what has come for it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import assert_never

from podium.domain.inbox import DeliveryKind
from podium.domain.states import RunState

_PAUSES = (DeliveryKind.PAUSE, DeliveryKind.RESUME)


class Course(Enum):
    """What to do with a run.

    `DROP_MAIL`: it has ended, nothing can reach it. `CANCEL`: cancel it without its code, which has not begun.
    `PAUSE`: pause it without its code. `LEAVE`: leave it and its mail as they are. `BEGIN`: bring it into memory.
    """

    DROP_MAIL = auto()
    CANCEL = auto()
    PAUSE = auto()
    LEAVE = auto()
    BEGIN = auto()


def course_for(state: RunState, mail: Sequence[DeliveryKind], *, has_begun: bool) -> Course:
    """Return what to do with a run in `state` for which `mail` has come, in that order."""
    cancelled = DeliveryKind.CANCEL in mail
    match state:
        case RunState.COMPLETED | RunState.CANCELLED:
            return Course.DROP_MAIL
        case RunState.FAILED:
            return Course.BEGIN if DeliveryKind.RETRY in mail else Course.DROP_MAIL
        case RunState.BLOCKED:
            called_for = cancelled or DeliveryKind.RETRY in mail or DeliveryKind.SETTLE in mail
            return Course.BEGIN if called_for else Course.LEAVE
        case RunState.PAUSED if not cancelled:
            return Course.BEGIN if _last_of(mail) is DeliveryKind.RESUME else Course.LEAVE
        case RunState.PENDING | RunState.PAUSED if cancelled and not has_begun:
            return Course.CANCEL
        case RunState.PENDING | RunState.WAITING if not cancelled and _last_of(mail) is DeliveryKind.PAUSE:
            return Course.PAUSE
        case RunState.PENDING | RunState.WAITING | RunState.RUNNING | RunState.PAUSED:
            return Course.BEGIN
        case _:
            assert_never(state)


def _last_of(mail: Sequence[DeliveryKind]) -> DeliveryKind | None:
    return next((kind for kind in reversed(mail) if kind in _PAUSES), None)
