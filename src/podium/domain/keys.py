"""API keys: who may call the server, which models, and how much of them."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from podium.domain.budgets import Budget, Scope, Unit
from podium.domain.errors import InvalidInput

MARK: Final = "sk-podium-"
"""How every token begins, so that one that leaked is recognised."""

MINUTE: Final = 60.0
"""The period of limits of requests and tokens, in seconds."""

_SHOWN = len(MARK) + 6
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may do; None is no limit.

    `requests` and `tokens` are counted within each minute of the clock, `concurrency` is requests at work at once in
    each process, `budget` money (or tokens) within each period of the calendar, in UTC. `models` are patterns such as `openai:*` of which a
    model's name must match one. Raises `InvalidInput` for limits that nothing could keep.
    """

    requests: int | None = None
    tokens: int | None = None
    concurrency: int | None = None
    budget: Budget | None = None
    models: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        for what in ("requests", "tokens", "concurrency"):
            limit = getattr(self, what)
            if limit is not None and not 1 <= limit <= _MOST:
                raise InvalidInput(f"a key's limit of {what} must be from 1 to {_MOST}, not {limit}")
        if not self.models or not all(pattern.isprintable() and pattern for pattern in self.models):
            raise InvalidInput("a key's models must be one or more patterns such as 'openai:*'")

    def permits(self, *names: str) -> bool:
        """Return whether any of a model's names matches any of the patterns."""
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.models)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: never the token itself, only its digest.

    `prefix` is how the token begins, for people to tell keys apart. Times are seconds since the epoch. `budgets` are its
    limits of requests, tokens and money as budgets of this key alone, `limits.budget` being the last.
    """

    name: str
    prefix: str
    digest: bytes = field(repr=False)
    limits: KeyLimits
    created_at: float
    revoked_at: float | None = None
    tenant: str = "default"
    budgets: tuple[Budget, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        limits = self.limits
        budgets = (
            None if limits.requests is None else Budget(limits.requests, MINUTE, unit=Unit.REQUESTS),
            None if limits.tokens is None else Budget(limits.tokens, MINUTE),
            limits.budget,
        )
        own = tuple(each.of_one(Scope.KEY, self.name) for each in budgets if each is not None)
        object.__setattr__(self, "budgets", own)


def new_token() -> str:
    """Return a fresh token of 256 random bits."""
    return MARK + secrets.token_urlsafe(32)


def token_digest(token: bytes) -> bytes:
    """Return what is stored of a token: SHA-256, which is enough for 256 random bits."""
    return hashlib.sha256(token).digest()


def shown_prefix(token: str) -> str:
    """Return the part of a token by which people may know it: 36 of its 256 bits."""
    return token[:_SHOWN]


def checked_key_name(name: str) -> str:
    """Return `name`; raises `InvalidInput` when a key cannot be called so."""
    if not 1 <= len(name) <= 100 or not name.isprintable() or name != name.strip():
        raise InvalidInput(f"{name[:60]!a} cannot name a key: it must be 1 to 100 printable characters.")
    return name
