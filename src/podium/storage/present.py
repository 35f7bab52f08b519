"""Inserting what may be there already: the one place where the dialects' spelling differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def insert_unless_present(conn: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert `row` unless a row with one of its unique keys exists; return whether it was inserted."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    # The row apart from the statement, which is then the same every time and compiled once.
    return conn.execute(insert(table).on_conflict_do_nothing(), row).rowcount == 1


def insert_absent(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert those of `rows` none of whose unique keys exists."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    if rows:
        conn.execute(insert(table).on_conflict_do_nothing(), rows)
