"""Alembic's entry: runs the migrations on the connection that `podium.storage.revision` hands over."""

from __future__ import annotations

from alembic import context

from podium.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by making it anew.
    render_as_batch=True,
)
context.run_migrations()
