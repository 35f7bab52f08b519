"""Reading and writing outside the journal's hot path, with repository functions that take a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Storage(Protocol):
    """One database. The connection's type is the adapter's own; only its repositories look inside it."""

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run `query(connection)` on a consistent, read-only view and return its result."""
        ...

    async def write(self, change: Callable[[Any], T]) -> T:
        """Run `change(connection)` in a transaction; returns its result once that is on disk.

        What `change` raises undoes its own writes only and is raised here.
        """
        ...

    async def close(self) -> None:
        """Finish what is queued and release the database. Safe to call twice."""
        ...
