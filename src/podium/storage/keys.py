"""Keys and allowances: the repository, as plain functions over a connection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, or_, select, update

from podium.domain.budgets import Budget
from podium.domain.errors import InvalidInput, UnknownKey
from podium.domain.keys import ApiKey, KeyLimits
from podium.domain.money import Money
from podium.storage.present import insert_unless_present
from podium.storage.tables import allowances, api_keys

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row


def add_key(conn: Connection, key: ApiKey) -> None:
    """Store a new key; raises `InvalidInput` when the name is taken."""
    if not insert_unless_present(conn, api_keys, _row(key)):
        raise InvalidInput(f"there is a key named {key.name!r} already. Choose another name.")


def list_keys(conn: Connection, *, tenant: str | None = None) -> Sequence[ApiKey]:
    """Return the keys of one tenant, or of all, oldest first; revoked ones too."""
    query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.name)
    if tenant is not None:
        query = query.where(api_keys.c.tenant == tenant)
    return [_key_of(row) for row in conn.execute(query)]


def revoke_key(conn: Connection, name: str, now: float, *, tenant: str) -> ApiKey:
    """Revoke the key of this name or prefix, and return it; once is as good as twice. Raises `UnknownKey`."""
    is_it = (api_keys.c.tenant == tenant) & or_(api_keys.c.name == name, api_keys.c.prefix == name)
    found = [_key_of(row) for row in conn.execute(select(api_keys).where(is_it))]
    named = [key for key in found if key.name == name] or found
    if len(named) != 1:
        raise UnknownKey(f"there is no key {name[:60]!r}. `podium keys list` shows those that there are.")
    (key,) = named
    if key.revoked_at is None:
        this = (api_keys.c.tenant == tenant) & (api_keys.c.name == key.name)
        conn.execute(update(api_keys).where(this).values(revoked_at=now))
    (row,) = conn.execute(select(api_keys).where(api_keys.c.tenant == tenant, api_keys.c.name == key.name))
    return _key_of(row)


def take(conn: Connection, name: str, period: int, *, least: int, share: int, limit: int, tenant: str) -> int:
    """Take from an allowance of `limit` in this period, and return how much: 0 when `least` is not left.

    One part in `share` of what is left is taken, but never less than `least`.
    """
    is_it = (allowances.c.tenant == tenant) & (allowances.c.name == name)
    row = conn.execute(select(allowances.c.period, allowances.c.taken).where(is_it)).first()
    if row is None:
        conn.execute(insert(allowances).values(tenant=tenant, name=name, period=period, taken=0))
    if row is not None and row.period > period:
        # Another process's clock is ahead: what it counts in has begun for all.
        return 0
    taken = row.taken if row is not None and row.period == period else 0
    left = limit - taken
    if left < least:
        return 0
    given = max(least, left // share)
    conn.execute(update(allowances).where(is_it).values(period=period, taken=taken + given))
    return given


def give_back(conn: Connection, name: str, period: int, amount: int, *, tenant: str) -> None:
    """Return what was taken from an allowance in this period and not used; a negative amount takes more."""
    conn.execute(
        update(allowances)
        .where(allowances.c.tenant == tenant, allowances.c.name == name, allowances.c.period == period)
        .values(taken=allowances.c.taken - amount)
    )


def taken(conn: Connection, *, tenant: str) -> Mapping[str, tuple[int, int]]:
    """Return, by allowance, the period it was last used in and how much was taken in that."""
    rows = conn.execute(select(allowances).where(allowances.c.tenant == tenant))
    return {row.name: (row.period, row.taken) for row in rows}


def _row(key: ApiKey) -> dict[str, Any]:
    limits, budget = key.limits, key.limits.budget
    money = budget.amount.nanos if budget and isinstance(budget.amount, Money) else None
    return {
        "tenant": key.tenant,
        "name": key.name,
        "prefix": key.prefix,
        "digest": key.digest,
        "requests": limits.requests,
        "tokens": limits.tokens,
        "concurrency": limits.concurrency,
        "budget_nanos": money,
        "budget_tokens": budget.limit if budget and money is None else None,
        "budget_per": budget and budget.per,
        "models": json.dumps(limits.models),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _key_of(row: Row[Any]) -> ApiKey:
    amount = row.budget_tokens if row.budget_nanos is None else Money(row.budget_nanos)
    budget = None if amount is None else Budget(amount, row.budget_per)
    limits = KeyLimits(row.requests, row.tokens, row.concurrency, budget, tuple(json.loads(row.models)))
    return ApiKey(row.name, row.prefix, row.digest, limits, row.created_at, row.revoked_at, row.tenant)
