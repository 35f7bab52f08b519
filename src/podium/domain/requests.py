"""Requests to the server, as its log keeps them: what was asked of whom and what it took, never what was said."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from podium.domain.answers import Usage
from podium.domain.money import Money


class Lane(StrEnum):
    """How a request was answered."""

    NONE = "none"
    """Not at all: it was refused before a model was asked."""

    PASS_THROUGH = "pass_through"  # noqa: S105 - no password
    """Its bytes went to an upstream that speaks the same format, and the reply's bytes came back."""

    TYPED = "typed"
    """It was read, asked of the gateway's candidates, and answered in the client's format."""


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One row of the log.

    `at` is seconds since the epoch, `latency` and `first_token` are seconds since the request came in. `key` is the
    key's name, None where none was asked for. `model` is the name as the client gave it. `cost` is None when no price
    is known; `usage` is zero when the upstream did not say. `error` is the class of what went wrong.
    """

    id: str
    at: float
    route: str
    key: str | None = None
    model: str = ""
    lane: Lane = Lane.NONE
    status: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Money | None = None
    latency: float = 0.0
    first_token: float | None = None
    error: str | None = None
    tenant: str = "default"
