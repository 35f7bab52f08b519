"""How the gateway of the owning process stands with its providers: one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from podium.domain.gateway_status import GatewayStatus, decode_status, encode_status
from podium.storage.tables import gateway_status

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ROW = 1


def get_status(conn: Connection) -> GatewayStatus | None:
    """Return what was stored last, or None when nothing was yet."""
    data = conn.scalar(select(gateway_status.c.status))
    return None if data is None else decode_status(data)


def put_status(conn: Connection, status: GatewayStatus) -> None:
    """Store `status` in place of what was stored before."""
    values = {"at": status.at, "status": encode_status(status)}
    changed = conn.execute(update(gateway_status).where(gateway_status.c.id == _ROW).values(**values))
    if not changed.rowcount:
        conn.execute(insert(gateway_status).values(id=_ROW, **values))
