"""The embedded engine: one process, one database, one event loop."""
