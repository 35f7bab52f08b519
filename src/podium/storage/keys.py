"""Keys: the repository, as plain functions over a connection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, update

from podium.domain.budgets import Budget, Period, Unit
from podium.domain.errors import InvalidInput, UnknownKey
from podium.domain.keys import ApiKey, KeyLimits
from podium.domain.money import Money
from podium.storage.present import insert_unless_present
from podium.storage.tables import api_keys

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


def _row(key: ApiKey) -> dict[str, Any]:
    limits, budget = key.limits, key.limits.budget
    return {
        "tenant": key.tenant,
        "name": key.name,
        "prefix": key.prefix,
        "digest": key.digest,
        "requests": limits.requests,
        "tokens": limits.tokens,
        "concurrency": limits.concurrency,
        "budget_unit": budget and budget.unit.value,
        "budget_amount": budget and budget.limit,
        "budget_period": budget and str(budget.period),
        "models": json.dumps(limits.models),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _key_of(row: Row[Any]) -> ApiKey:
    limits = KeyLimits(
        row.requests, row.tokens, row.concurrency, _budget_of(row), tuple(json.loads(row.models))
    )
    return ApiKey(row.name, row.prefix, row.digest, limits, row.created_at, row.revoked_at, row.tenant)


def _budget_of(row: Row[Any]) -> Budget | None:
    if row.budget_unit is None:
        return None
    unit, period = Unit(row.budget_unit), row.budget_period
    amount = Money(row.budget_amount) if unit is Unit.MONEY else row.budget_amount
    return Budget(amount, period if period in set(Period) else float(period), unit=unit)
