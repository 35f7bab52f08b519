"""The entry point of the `podium` command."""

from __future__ import annotations

import os
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command; every expected error is one line on standard error and a meaningful exit code."""
    try:
        # In here, so that an interrupt while the command is being loaded shows no traceback either.
        from podium.cli.commands import call

        code = call()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        # Nobody reads it any more, or nobody ever did: nothing that is left of it may cause a stir on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
