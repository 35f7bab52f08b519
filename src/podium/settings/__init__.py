"""Frozen groups of settings. They read no environment: only the entry points do."""
