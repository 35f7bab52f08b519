"""Batches at vendors: the repository, and the port that the gateway needs."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select, update

from podium.ports.batches import BatchRecord
from podium.storage.tables import vendor_batches
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from podium.ports.storage import Storage

# No vendor works on a batch for longer, or keeps its results: of an older one nothing is to come any more.
_LONGEST: Final = 31 * 86_400.0


class StoredBatches:
    """The port `BatchRecords` on a database."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def find(self, tenant: str, mark: str) -> BatchRecord | None:
        """See `BatchRecords.find`."""
        return await self._storage.read(partial(find, tenant=tenant, mark=mark))

    async def begin(self, record: BatchRecord) -> None:
        """See `BatchRecords.begin`."""
        await self._storage.write(partial(begin, record=record))

    async def taken(self, tenant: str, mark: str, batch: str) -> None:
        """See `BatchRecords.taken`."""
        change = update(vendor_batches).where(_is_it(tenant, mark)).values(batch=batch)
        await self._storage.write(lambda conn: conn.execute(change).rowcount)

    async def forget(self, tenant: str, mark: str) -> None:
        """See `BatchRecords.forget`."""
        change = delete(vendor_batches).where(_is_it(tenant, mark))
        await self._storage.write(lambda conn: conn.execute(change).rowcount)

    async def others(self, place: str, mark: str) -> frozenset[str]:
        """See `BatchRecords.others`."""
        return await self._storage.read(partial(others, place=place, mark=mark))


def find(conn: Connection, tenant: str, mark: str) -> BatchRecord | None:
    """Return what is known of a batch."""
    row = conn.execute(select(vendor_batches).where(_is_it(tenant, mark))).first()
    return None if row is None else BatchRecord(**row._mapping)  # noqa: SLF001 - its public name


def begin(conn: Connection, record: BatchRecord) -> None:
    """Write down that a batch is about to be handed in, and forget those of which nothing is to come any more."""
    conn.execute(delete(vendor_batches).where(vendor_batches.c.begun_at < record.begun_at - _LONGEST))
    conn.execute(delete(vendor_batches).where(_is_it(record.tenant, record.mark)))
    conn.execute(insert(vendor_batches), {**dataclasses.asdict(record), "run": storable(record.run)})


def others(conn: Connection, place: str, mark: str) -> frozenset[str]:
    """Return the ids of all batches at a place but that of `mark`."""
    table = vendor_batches.c
    query = select(table.batch).where(table.place == place, table.mark != mark, table.batch.is_not(None))
    return frozenset(conn.scalars(query))


def _is_it(tenant: str, mark: str) -> ColumnElement[bool]:
    return (vendor_batches.c.tenant == tenant) & (vendor_batches.c.mark == mark)
