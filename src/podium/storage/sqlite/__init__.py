"""SQLite: one owner process, one writer thread, group commit."""
