"""One call on its way along the policy path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from podium.gateway.failures import Fault
from podium.gateway.judgement import Accepted
from podium.ports.models import Delta, ModelReply, ModelRequest

if TYPE_CHECKING:
    from podium.gateway.budgets.purse import Purse
    from podium.gateway.ledger import Ledger
    from podium.gateway.line import Line
    from podium.gateway.policy import CallPolicy

Judge = Callable[[ModelReply], Awaitable[Accepted | Fault]]
"""Reads, repairs, validates and weighs a reply."""


class Audience(Protocol):
    """Whoever hears of a reply while it is being written."""

    @property
    def listens(self) -> bool:
        """Whether there is anybody."""
        ...

    @property
    def bound(self) -> bool:
        """Whether something was heard of the latest request that cannot be taken back."""
        ...

    def begin(self) -> None:
        """A request is made: what was heard of an earlier one no longer counts."""
        ...

    def hear(self, delta: Delta) -> None:
        """A piece of the reply has come."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way.

    `asked` is what every request asks; messages and output limit are those of each candidate. `line` has the candidates
    and the deadline, `ledger` what was tried so far. `judge` says of a reply whether it may be used. `patient`: a
    request may take its whole time without a token, when nobody listens. Without a `purse` no budget bounds the call.
    """

    asked: ModelRequest
    policy: CallPolicy
    line: Line
    ledger: Ledger
    audience: Audience
    judge: Judge
    tenant: str
    patient: bool = False
    purse: Purse | None = None

    @property
    def may_race(self) -> bool:
        """Whether a second request may race a late one: never where somebody hears it, or tools would be called twice."""
        return self.policy.hedge and not self.asked.tools and not self.audience.listens
