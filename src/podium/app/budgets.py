"""Use-cases on budgets: what is spent of each, and when it begins anew."""

from __future__ import annotations

import time
from collections.abc import Sequence

from podium.ports.budgets import BudgetUse
from podium.ports.storage import Storage
from podium.storage import budgets


class BudgetList:
    """The budgets of a database. Works beside a process that owns it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def list(self, *, tenant: str | None = None) -> Sequence[BudgetUse]:
        """Return every budget that something was spent of in a window that has not ended, of one tenant or of all."""
        return await self._storage.read(lambda conn: budgets.list_budgets(conn, time.time(), tenant=tenant))
