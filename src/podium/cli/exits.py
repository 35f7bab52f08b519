"""How the command ends: exit codes, and the two ends that are neither success nor error."""

from __future__ import annotations

import sys
from enum import IntEnum

from podium.cli.output import plain
from podium.domain.errors import (
    CredentialMissing,
    PodiumError,
    StorageUnavailable,
    UnknownKey,
    UnknownPrompt,
    UnknownReview,
    UnknownRun,
    UnknownTrigger,
)


class Exit(IntEnum):
    """Exit codes: what went wrong, for scripts."""

    OK = 0
    NOT_ALL_WELL = 1
    INVALID = 2
    STORAGE = 3
    CREDENTIAL = 4
    NOT_FOUND = 5
    INTERNAL = 70
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done, everything completed or waits · 1 a run failed, is blocked or was cancelled, or a line of "
    "a job is broken · 2 the input cannot be used · 3 the database cannot be used · 4 a model's key is missing · "
    "5 no such run, review, trigger, prompt or key · 70 a fault in Podium (PODIUM_DEBUG=1 shows where) · 130 interrupted (run again to "
    "go on)."
)
"""What the help says about exit codes."""


class Interrupted(Exception):
    """Somebody stopped the command; the message, if any, says what that means for the work."""


def exit_code(error: PodiumError) -> Exit:
    """Return the exit code for an error."""
    match error:
        case StorageUnavailable():
            return Exit.STORAGE
        case CredentialMissing():
            return Exit.CREDENTIAL
        case UnknownRun() | UnknownReview() | UnknownTrigger() | UnknownPrompt() | UnknownKey():
            return Exit.NOT_FOUND
        case _:
            return Exit.INVALID


def complain(message: object) -> None:
    """Say on standard error, in one line, what went wrong; if nobody can hear it, that is all right."""
    try:
        sys.stderr.write(f"podium: {plain(message)}\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        return
