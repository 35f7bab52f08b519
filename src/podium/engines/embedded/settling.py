"""What a person found out about an operation whose outcome was unknown, as an outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import pydantic

from podium.domain.errors import ErrorRecord, InvalidInput
from podium.domain.outcomes import Done, Failed, Outcome, Suspended
from podium.domain.settlements import SettlementKind, decode_settlement
from podium.flow.failures import message_of

if TYPE_CHECKING:
    from podium.domain.inbox import Delivery
    from podium.domain.operations import Operation


def settled(operation: Operation, delivery: Delivery, now: float) -> Outcome:
    """Return the outcome that the settlement in `delivery` gives `operation`; `now` is seconds since the epoch.

    Raises `InvalidInput` for a result that does not fit the operation's type.
    """
    settlement = decode_settlement(delivery.payload)
    match settlement.kind:
        case SettlementKind.DONE:
            payload = settlement.text.encode()
            try:
                operation.intent.codec.decode(payload)
            except Exception as error:
                raise InvalidInput(
                    f"{operation.key} cannot be settled with that result, which does not fit its type: "
                    f"{_problem(error)}. "
                    "Settle it again."
                ) from error
            return Done(payload)
        case SettlementKind.FAILED:
            return Failed(ErrorRecord("SettledAsFailed", settlement.text))
        case SettlementKind.AGAIN:
            return Suspended(ErrorRecord("SettledAsNotBegun", settlement.text), now)
        case _:
            assert_never(settlement.kind)


def _problem(error: Exception) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return message_of(error).splitlines()[0]
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg']}" if path else first["msg"]
