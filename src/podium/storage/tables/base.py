"""What all tables share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    MetaData,
    Text,
    literal_column,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# Only a column of exactly this type is SQLite's own row number, which costs neither space nor an index.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")


def inline(states: Iterable[StrEnum]) -> list[ColumnElement[Any]]:
    """Return the states as literals: a planner matches a partial index by its text, not by parameters."""
    return [literal_column(f"'{state.value}'", Text()) for state in sorted(states)]
