"""Databases: tables, migrations, repositories of plain functions, and the SQLite adapter of the storage ports."""
