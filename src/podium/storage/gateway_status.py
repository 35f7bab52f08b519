"""How the gateways of processes stand with their providers: one row of the owner, one of each that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from podium.domain.gateway_status import GatewayStatus, decode_status, encode_status
from podium.storage.tables import gateway_status, server_status

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def list_servers(conn: Connection, since: float) -> Sequence[GatewayStatus]:
    """Return what servers stored `since` then, in seconds since the epoch, by process."""
    found = conn.scalars(select(server_status.c.status).where(server_status.c.at >= since))
    return sorted((decode_status(data) for data in found), key=lambda status: status.pid)


def put_server(conn: Connection, id: str, status: GatewayStatus, since: float) -> None:
    """Store the `status` of the server `id`, and forget servers that have stored nothing `since` then."""
    values = {"at": status.at, "status": encode_status(status)}
    conn.execute(delete(server_status).where(server_status.c.at < since, server_status.c.id != id))
    changed = conn.execute(update(server_status).where(server_status.c.id == id).values(**values))
    if not changed.rowcount:
        conn.execute(insert(server_status).values(id=id, **values))


def remove_server(conn: Connection, id: str) -> None:
    """Forget the server `id`."""
    conn.execute(delete(server_status).where(server_status.c.id == id))
