"""What one tenant has in a database: nobody else's runs, reviews and keys can be had through it."""

from __future__ import annotations

from dataclasses import dataclass

from podium.app.keys import Keys
from podium.app.reviews import Reviews
from podium.app.runs import Runs
from podium.domain.ids import checked_tenant
from podium.ports.storage import Storage


@dataclass(frozen=True, slots=True)
class TenantView:
    """The runs, reviews and keys of one tenant. Had by `Podium.for_tenant`."""

    tenant: str
    runs: Runs
    reviews: Reviews
    keys: Keys


def view_of(storage: Storage, tenant: str) -> TenantView:
    """Return what `tenant` has; raises `InvalidInput` for what cannot name one."""
    name = checked_tenant(tenant)
    return TenantView(name, Runs(storage, name), Reviews(storage, name), Keys(storage, name))
