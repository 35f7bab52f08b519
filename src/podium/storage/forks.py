"""A run that begins with a part of another run's journal: stored as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from podium.domain.errors import InvalidInput
from podium.domain.inbox import Delivery, DeliveryKind
from podium.storage import blobs
from podium.storage.attributes import copy_attributes
from podium.storage.inbox import deliver
from podium.storage.present import insert_unless_present
from podium.storage.rows import run_row
from podium.storage.tables import journal, runs

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.journal import Entry
    from podium.domain.runs import Run


def store_fork(conn: Connection, run: Run, entries: Sequence[Entry], blob_threshold: int) -> None:
    """Store `run` with its first entries, and have it taken up by whoever owns the database.

    Values of more than `blob_threshold` bytes are kept beside the journal. Raises `InvalidInput` when there is
    a run of that id already.
    """
    kept_input = blobs.split(conn, run.tenant, run.input, blob_threshold)
    if not insert_unless_present(conn, runs, run_row(run, kept_input, (None, None))):
        raise InvalidInput(f"there is a run {run.id!a} already. Choose another id for the fork.")
    number = conn.scalar(select(runs.c.number).where(runs.c.id == run.id))
    for entry in entries:
        payload, digest = blobs.split(conn, run.tenant, entry.payload, blob_threshold)
        conn.execute(
            insert(journal).values(
                run_number=number,
                seq=entry.seq,
                tenant=run.tenant,
                type=entry.type.value,
                kind=None if entry.kind is None else entry.kind.value,
                key=entry.key,
                name=entry.name,
                fingerprint=entry.fingerprint,
                attempt=entry.attempt,
                payload=payload,
                payload_digest=digest,
                started_at=entry.started_at,
                at=entry.at,
            )
        )
    if run.forked_from is not None:
        # What the code set before the fork is in its journal, and will not be set again.
        copy_attributes(conn, run.forked_from.run, run)
    deliver(conn, Delivery(run.id, DeliveryKind.RESUME, "", b"null", run.created_at))
