"""Who owns the database: one row, whose epoch grows with each change of owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from podium.storage.tables import owner
from podium.storage.texts import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ROW = 1


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that owns the database, or did last. `since` is in seconds since the epoch."""

    pid: int
    host: str
    command: str
    since: float


def get_owner(conn: Connection) -> Owner | None:
    """Return the present or last owner, or None when there was none yet."""
    row = conn.execute(select(owner.c.pid, owner.c.host, owner.c.command, owner.c.since)).first()
    return None if row is None else Owner(*row)


def take_over(conn: Connection, new: Owner) -> int:
    """Make `new` the owner and return its epoch, which is greater than every epoch before it."""
    values = {
        "pid": new.pid,
        "host": storable(new.host),
        "command": storable(new.command),
        "since": new.since,
    }
    epoch = conn.scalar(
        update(owner)
        .where(owner.c.id == _ROW)
        .values(epoch=owner.c.epoch + 1, **values)
        .returning(owner.c.epoch)
    )
    if epoch is None:
        conn.execute(insert(owner).values(id=_ROW, epoch=1, **values))
        return 1
    return int(epoch)
