"""The revision of the tables: which one this code is written for, and how an older database gets there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, inspect, select

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0015"
"""The revision of the tables in `tables.py`. Revisions are numbers of four digits, so that later sorts after."""

_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def revision_of(conn: Connection) -> str | None:
    """Return the revision of the database's tables, None when it has none. Does not load Alembic."""
    if not inspect(conn).has_table(_VERSION.name):
        return None
    return conn.scalar(select(_VERSION.c.version_num))


def upgrade(conn: Connection) -> None:
    """Bring the tables to `HEAD`, inside the transaction that the caller has begun."""
    from alembic import command

    command.upgrade(alembic_config(conn), "head")


def alembic_config(conn: Connection) -> Config:
    """Return Alembic's configuration for the packaged migrations on `conn`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.attributes["connection"] = conn
    return config
