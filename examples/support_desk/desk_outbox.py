"""The outbox of the support desk: an SQLite table that holds each reply that was sent, one per ticket.

Put the call of a mail service in the place of the table when replies are to leave the house, and hand it the
message key as its idempotency key.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    ticket_id   TEXT NOT NULL PRIMARY KEY,
    message_key TEXT NOT NULL UNIQUE,
    body        TEXT NOT NULL,
    sent_at     TEXT NOT NULL
)
"""

_BUSY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a reply is in the outbox.

    `sent_at` is the time at which it was first sent (ISO 8601, UTC); `duplicate` is true when that was an
    earlier call.
    """

    ticket_id: str
    message_key: str
    sent_at: str
    duplicate: bool


class OutboxError(Exception):
    """A reply was not sent; the message says why and what to do."""


class AlreadySent(OutboxError):
    """Another message, with another key, was sent for this ticket before: `ticket_id`."""

    def __init__(self, ticket_id: str) -> None:
        super().__init__(
            f"ticket {ticket_id!r} was answered before, by a message with another key; this one was not sent",
        )
        self.ticket_id = ticket_id


class KeyTaken(OutboxError):
    """The message key belongs to the message of another ticket."""

    def __init__(self, message_key: str, ticket_id: str) -> None:
        super().__init__(
            f"message key {message_key!r} was used for another ticket; give {ticket_id!r} a key of its own",
        )


class OutboxUnavailable(OutboxError):
    """The outbox file cannot be used: locked for too long, no database, or not writable."""


def deliver(message_key: str, ticket_id: str, body: str) -> Receipt:
    """Send `body` as the reply to a ticket, at most once however often and from wherever this is called.

    The same key again returns the first receipt, marked as a duplicate, and sends nothing. When this returns,
    the reply is on disk. The environment variable SUPPORT_DESK_OUTBOX names the file; without it, it is
    `outbox.db` in the current folder.

    Raises `AlreadySent`, `KeyTaken` or `OutboxUnavailable`.
    """
    path = os.environ.get("SUPPORT_DESK_OUTBOX") or "outbox.db"
    try:
        with closing(_open(path)) as connection:
            return _insert(connection, message_key, ticket_id, body)
    except sqlite3.Error as error:
        raise OutboxUnavailable(
            f"the outbox {path!r} cannot be used ({error}); close what locks it,"
            " or let SUPPORT_DESK_OUTBOX name another file",
        ) from error


def _open(path: str) -> sqlite3.Connection:
    # Autocommit: each statement is a transaction of its own, on disk when it returns.
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # When several callers make the file at once, the switch to WAL fails in all but one of them, without a
    # wait: SQLite does not apply its busy timeout here.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _insert(connection: sqlite3.Connection, message_key: str, ticket_id: str, body: str) -> Receipt:
    # Half of a surrogate pair, which JSON can carry, is no text that can be stored.
    body = body.encode("utf-8", "replace").decode("utf-8")
    sent_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    inserted = connection.execute(
        "INSERT INTO outbox (ticket_id, message_key, body, sent_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (ticket_id, message_key, body, sent_at),
    ).rowcount
    if inserted:
        return Receipt(ticket_id, message_key, sent_at, duplicate=False)
    earlier = connection.execute(
        "SELECT ticket_id, sent_at FROM outbox WHERE message_key = ?", (message_key,)
    ).fetchone()
    match earlier:
        case None:
            raise AlreadySent(ticket_id)
        case (str(owner), str(first_sent_at)) if owner == ticket_id:
            return Receipt(ticket_id, message_key, first_sent_at, duplicate=True)
        case _:
            raise KeyTaken(message_key, ticket_id)
