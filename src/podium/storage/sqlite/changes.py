"""The journal's changes as statements: the hot path, which speaks to the driver itself.

Entries are collected and inserted many to a statement. The driver gives up the interpreter for each statement
it runs and may have to wait for it while the event loop is busy, so that few statements are worth more here
than simple ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import sqlite as dialect

from podium.domain.errors import StateConflict, UnknownRun
from podium.domain.journal import EntryType
from podium.domain.states import TERMINAL_RUN_STATES, RunState
from podium.ports.journal import (
    Append,
    Change,
    CloseReviews,
    CreateRun,
    Deliver,
    MoveRun,
    OpenReview,
    PublishChunk,
    PutBack,
    Renew,
    SupersedeChunks,
    TakeDelivery,
)
from podium.storage import blobs, chunks, inbox, reviews, runs
from podium.storage.rows import run_row
from podium.storage.sqlite.connections import driver
from podium.storage.sqlite.statements import rendered
from podium.storage.tables import journal
from podium.storage.tables import runs as runs_table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from podium.domain.ids import RunId
    from podium.domain.journal import Entry
    from podium.domain.runs import Run

_SIZES: Final = (128, 32, 8, 1)
"""Rows inserted by one statement: few sizes, so that the prepared statements are used again and again."""

_LONGEST_NOTE: Final = 2048
"""The longest payload in bytes of an attempt that is kept in its row: the prompts of a run are much alike, and
from this length on it takes less room to keep what differs, even for two of them."""

_REMEMBERED: Final = 20_000
"""How many runs' numbers are kept in memory."""


class _Place(NamedTuple):
    """What the journal's rows hold for a run's id."""

    number: int
    tenant: str


class Changes:
    """Makes journal changes within the transaction that its user has begun on the connection.

    Entries are in the database only after `flush`.
    """

    def __init__(self, conn: Connection, blob_threshold: int) -> None:
        self._conn = conn
        self._execute = driver(conn).execute
        self._threshold = blob_threshold
        self._longest_note = min(_LONGEST_NOTE, blob_threshold)
        self._places: dict[RunId, _Place] = {}
        self._entries: list[Any] = []
        columns = [column.name for column in journal.columns]
        append = rendered(journal.insert(), columns=columns)
        self._width = len(columns)
        self._append = {size: append.repeated(size) for size in _SIZES}
        self._create = rendered(
            dialect.insert(runs_table).on_conflict_do_nothing(),
            columns=[column.name for column in runs_table.columns if column.name != "number"],
        )
        self._place = rendered(
            select(runs_table.c.number, runs_table.c.tenant).where(runs_table.c.id == bindparam("run"))
        ).sql
        self._move = {state: rendered(runs.move_statement(state)) for state in RunState}
        self._close_all = rendered(reviews.CLOSE_ALL)
        self._close_one = rendered(reviews.CLOSE_ONE)
        self._deliver = rendered(inbox.DELIVER)
        self._take = rendered(inbox.TAKE)

    def make(self, changes: Sequence[Change]) -> bool:
        """Make `changes` in their order; return whether every run to be created was new.

        Raises `StateConflict` for a transition that the table of run states forbids, and `UnknownRun`.
        """
        all_new = True
        for change in changes:
            match change:
                case Append(entry):
                    self._add(entry)
                case MoveRun():
                    self._move_run(change)
                case CreateRun(run):
                    all_new = self._create_run(run) and all_new
                case OpenReview(review):
                    reviews.insert_review(self._conn, review)
                case CloseReviews(run_id, key):
                    close = self._close_all if key is None else self._close_one
                    self._execute(close.sql, close.values({"run": run_id, "at_key": key}))
                case Deliver(delivery):
                    values = self._deliver.values(inbox.delivery_row(delivery))
                    if self._execute(self._deliver.sql, values).rowcount != 1:
                        raise inbox.unknown_run(delivery.run)
                case TakeDelivery(id):
                    self._execute(self._take.sql, (id,))
                case PutBack(events):
                    inbox.put_back(self._conn, events)
                case Renew() | PublishChunk() | SupersedeChunks():
                    self._make_rare(change)
                case _:
                    assert_never(change)
        return all_new

    def flush(self) -> None:
        """Insert the entries that have been collected."""
        values, start, rest = self._entries, 0, len(self._entries) // self._width
        for size in _SIZES:
            while rest >= size:
                end = start + size * self._width
                self._execute(self._append[size], values[start:end])
                start, rest = end, rest - size
        values.clear()

    def _make_rare(self, change: Renew | PublishChunk | SupersedeChunks) -> None:
        place = self._places.get(change.run) or self._find(change.run)
        match change:
            case Renew():
                # What is collected belongs before it, and may be of the journal that leaves.
                self.flush()
                runs.renew(self._conn, place.number, change, self._threshold)
            case PublishChunk(_, key, attempt, payload, at):
                chunks.publish(self._conn, *place, key, attempt, payload, at)
            case SupersedeChunks(_, key, at):
                chunks.supersede(self._conn, *place, key, at)
            case _:
                assert_never(change)

    def _add(self, entry: Entry) -> None:
        number, tenant = self._places.get(entry.run) or self._find(entry.run)
        payload: bytes | None = entry.payload
        digest = None
        length = len(entry.payload)
        if length > self._longest_note and (entry.type is EntryType.ATTEMPT or length > self._threshold):
            payload, digest = None, blobs.keep(self._conn, tenant, entry.payload)
        # In the order of the table's columns.
        self._entries += (
            number,
            entry.seq,
            tenant,
            entry.type.value,
            None if entry.kind is None else entry.kind.value,
            entry.key,
            entry.name,
            entry.fingerprint,
            entry.attempt,
            payload,
            digest,
            entry.started_at,
            entry.at,
        )

    def _create_run(self, run: Run) -> bool:
        kept_input = blobs.split(self._conn, run.tenant, run.input, self._threshold)
        kept_output = blobs.split(self._conn, run.tenant, run.output, self._threshold)
        values = self._create.values(run_row(run, kept_input, kept_output))
        cursor = self._execute(self._create.sql, values)
        if cursor.rowcount != 1:
            return False
        self._remember(run.id, _Place(cursor.lastrowid or 0, run.tenant))
        return True

    def _move_run(self, move: MoveRun) -> None:
        output: tuple[bytes | None, bytes | None] = (move.output, None)
        if move.output is not None and len(move.output) > self._threshold:
            _, tenant = self._places.get(move.run) or self._find(move.run)
            output = (None, blobs.keep(self._conn, tenant, move.output))
        statement = self._move[move.state]
        if self._execute(statement.sql, statement.values(runs.move_row(move, output))).rowcount != 1:
            raise self._conflict(move)
        if move.state in TERMINAL_RUN_STATES:
            self._places.pop(move.run, None)

    def _conflict(self, move: MoveRun) -> StateConflict:
        self._find(move.run)
        run = runs.get_run(self._conn, move.run)
        state = None if run is None else run.state
        return StateConflict(
            f"run {move.run!a} is {state}, from which the engine tried to make it {move.state}"
        )

    def _find(self, run: RunId) -> _Place:
        row = self._execute(self._place, (run,)).fetchone()
        if row is None:
            raise UnknownRun(f"there is no run {run!a}, whose journal the engine tried to write")
        return self._remember(run, _Place(*row))

    def _remember(self, run: RunId, place: _Place) -> _Place:
        if len(self._places) >= _REMEMBERED:
            self._places.pop(next(iter(self._places)))
        self._places[run] = place
        return place
