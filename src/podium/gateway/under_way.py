"""A request on its way: what is known of it before it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from podium.domain.answers import Usage
from podium.domain.money import Money
from podium.gateway.sizes import input_tokens, text_tokens
from podium.ports.models import Counted, Delta, Message, ModelReply, Route, TextDelta


@dataclass(frozen=True, slots=True)
class Bill:
    """What a request has come to; `estimated` where the provider has not counted all of it."""

    usage: Usage
    cost: Money | None
    price_table: str
    estimated: bool


def bill_of(
    reply: ModelReply, messages: Sequence[Message], price: Callable[[Usage], Money | None] = lambda _: None
) -> Bill:
    """Return what a reply has come to: as the provider counted, and what it did not count by its size, at `price`."""
    if reply.counted:
        return Bill(reply.usage, reply.cost, reply.price_table, estimated=False)
    written = reply.text + "".join(call.name + call.arguments for call in reply.calls)
    usage = Usage(
        reply.usage.input_tokens or input_tokens(messages), reply.usage.output_tokens or text_tokens(written)
    )
    cost = price(usage) if reply.cost is None else reply.cost
    return Bill(usage, cost, reply.price_table, estimated=True)


@dataclass(slots=True)
class UnderWay:
    """What is known of a request so far.

    `first_at` is when its first token came, by `clock`; `written` the text of the reply so far;
    `counted` what the provider has counted. `lost`: another answered first, and this one is to end with its bill.
    """

    clock: Callable[[], float]
    first_at: float | None = None
    written: str = ""
    counted: Counted | None = None
    lost: bool = False

    def token(self) -> None:
        """A token has come."""
        if self.first_at is None:
            self.first_at = self.clock()

    def hear(self, delta: Delta) -> None:
        """A piece of the reply has come."""
        if isinstance(delta, TextDelta):
            self.written += delta.text

    def count(self, counted: Counted) -> None:
        """The provider has counted."""
        self.counted = counted

    def bill(self, messages: Sequence[Message], route: Route) -> Bill:
        """Return what it has come to, when it is cut off now: as counted, and what is not counted by its size."""
        counted = self.counted
        if counted is None:
            usage = Usage(input_tokens(messages), text_tokens(self.written))
            return Bill(usage, route.price(usage), "", estimated=True)
        # What a provider says of the output before the end is less than it writes on the bill.
        output = max(counted.usage.output_tokens, text_tokens(self.written))
        if output == counted.usage.output_tokens:
            return Bill(counted.usage, counted.cost, counted.price_table, estimated=False)
        usage = Usage(counted.usage.input_tokens, output)
        return Bill(usage, route.price(usage) or counted.cost, counted.price_table, estimated=True)
