"""Prompt versions: the repository, and the port that the gateway needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from podium.domain.prompts import PromptUse, PromptVersion
from podium.storage.present import insert_unless_present
from podium.storage.tables import prompt_versions
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.ports.storage import Storage


class StoredPrompts:
    """The port `PromptStore` on a database."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def add(self, used: Sequence[PromptUse]) -> None:
        """See `PromptStore.add`."""
        if used:
            await self._storage.write(partial(add_uses, used=used))


def add_uses(conn: Connection, used: Sequence[PromptUse]) -> None:
    """Add uses to those that are known; see `PromptStore.add`."""
    table = prompt_versions
    for use in used:
        if not insert_unless_present(conn, table, _row(use)):
            is_it = (
                (table.c.tenant == use.tenant)
                & (table.c.name == use.prompt.name)
                & (table.c.version == use.prompt.version)
            )
            more = {"uses": table.c.uses + use.uses, "last_used": use.last_used}
            conn.execute(update(table).where(is_it).values(more))


def list_prompts(
    conn: Connection, *, tenant: str | None = None, name: str | None = None
) -> Sequence[PromptUse]:
    """Return the versions that were used, by prompt and then newest first: of one tenant, of one name, or all."""
    table = prompt_versions
    query = select(table).order_by(table.c.name, table.c.last_used.desc(), table.c.version)
    if tenant is not None:
        query = query.where(table.c.tenant == tenant)
    if name is not None:
        query = query.where(table.c.name == name)
    return [_use_of(row) for row in conn.execute(query)]


def _row(use: PromptUse) -> dict[str, Any]:
    prompt = use.prompt
    return {
        "tenant": use.tenant,
        "name": prompt.name,
        "version": prompt.version,
        "template": storable(prompt.template),
        "system": None if prompt.system is None else storable(prompt.system),
        "schema": None if prompt.schema is None else storable(prompt.schema),
        "policy": prompt.policy,
        "first_used": use.first_used,
        "last_used": use.last_used,
        "uses": use.uses,
    }


def _use_of(row: Any) -> PromptUse:
    prompt = PromptVersion(row.name, row.version, row.template, row.system, row.schema, row.policy)
    return PromptUse(prompt, row.uses, row.first_used, row.last_used, row.tenant)
