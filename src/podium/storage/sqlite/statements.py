"""SQL for the driver, rendered from the tables' own declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ClauseElement


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's text and the names of its parameters in the order in which the driver wants them."""

    sql: str
    names: tuple[str, ...]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the statement's parameters in its order; others are left out."""
        return [parameters[name] for name in self.names]

    def repeated(self, rows: int) -> str:
        """Return the text that inserts `rows` rows at once, where this statement inserts one."""
        head, _, _ = self.sql.rpartition("(")
        row = f"({', '.join('?' * len(self.names))})"
        return head + ", ".join([row] * rows)


def rendered(statement: ClauseElement, *, columns: Sequence[str] | None = None) -> Statement:
    """Return `statement` for the driver: its values are literals or named parameters.

    `columns`, for an insertion, are the columns that take parameters of their own names.
    """
    compiled = statement.compile(
        dialect=sqlite.dialect(paramstyle="qmark"),
        column_keys=None if columns is None else list(columns),
        compile_kwargs={"render_postcompile": True},
    )
    return Statement(str(compiled), tuple(getattr(compiled, "positiontup", None) or ()))
