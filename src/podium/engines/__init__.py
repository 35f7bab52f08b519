"""Engines: whatever can execute operations durably."""
